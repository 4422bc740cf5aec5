// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Where sockets without a descriptor come from. `iter/tcp` and `iter/udp` say of each socket whether it was ever given to a
// process: what the kernel makes for itself (sock_create_kern) has a `struct socket` without a file. `iter/unix` looks into
// the receive queue of each Unix-domain socket for sockets that were sent as descriptors (SCM_RIGHTS) and not yet received.
//
// Each iterator runs in the network namespace of the thread that opens it. The structures below name only the fields that
// are read; the loader relocates each access by name (CO-RE).
//
// Built with `cargo xtask bpf`; iter/tcp and iter/udp need Linux 5.9, iter/unix Linux 5.15.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	long long counter;
} atomic64_t;

struct super_block {
	unsigned long s_magic;
};

struct inode {
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct file {
	struct inode *f_inode;
};

struct socket {
	struct file *file;
};

struct sock_common {
	atomic64_t skc_cookie;
};

struct sk_buff {
	struct sk_buff *next;
	char cb[48];
};

struct sk_buff_head {
	struct sk_buff *next;
};

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	struct socket *sk_socket;
};

struct scm_fp_list {
	short count;
	struct file *fp[253];
};

struct unix_skb_parms {
	struct scm_fp_list *fp;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

#pragma clang attribute pop

// The iterators' contexts as the programs see them: each member in 8 bytes. Not relocated: the verifier rewrites these accesses.
struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct sock *udp_sk;
};

struct bpf_iter__unix {
	struct bpf_iter_meta *meta;
	struct sock *unix_sk;
};

// Helpers by number (include/uapi/linux/bpf.h, ___BPF_FUNC_MAPPER).
static long (*bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*bpf_seq_write)(struct seq_file *seq, const void *data, u32 length) = (void *)127;
static struct sock *(*bpf_skc_to_tcp_sock)(void *sk) = (void *)137;

// What the reader gets, in the machine's byte order: `Record` in socket_origin.rs.
struct record {
	u64 socket; // iter/tcp, iter/udp: the cookie; iter/unix: the inode of the socket under way
	u32 kind;   // 0: never given to a process; 1: has a file; 2: under way
	u32 zero;
};

enum { KERNEL, GIVEN, UNDER_WAY };

// SOCKFS_MAGIC of include/uapi/linux/magic.h.
#define SOCKFS_MAGIC 0x534F434B
// Messages of one queue, and descriptors of one message, that are looked at: the verifier walks through each. Nothing is said
// of further ones.
#define MESSAGES 16
#define DESCRIPTORS 4

char _license[] SEC("license") = "Dual MIT/GPL";

static inline __attribute__((always_inline)) void tell_origin(struct seq_file *seq, struct sock *sk)
{
	struct socket *socket = sk->sk_socket;
	// Not accepted yet, or closed by its program: it has no inode and is none of those asked for.
	if (!socket)
		return;
	struct record record = {
		.socket = (u64)sk->__sk_common.skc_cookie.counter,
		.kind = socket->file ? GIVEN : KERNEL,
	};
	if (record.socket)
		bpf_seq_write(seq, &record, sizeof(record));
}

SEC("iter/tcp")
int netstat_tcp(struct bpf_iter__tcp *ctx)
{
	struct sock_common *common = ctx->sk_common;

	if (!common)
		return 0;
	// TIME_WAIT and SYN_RECEIVED are smaller objects: the helper gives NULL for them.
	struct sock *sk = bpf_skc_to_tcp_sock(common);
	if (sk)
		tell_origin(ctx->meta->seq, sk);
	return 0;
}

SEC("iter/udp")
int netstat_udp(struct bpf_iter__udp *ctx)
{
	if (ctx->udp_sk)
		tell_origin(ctx->meta->seq, ctx->udp_sk);
	return 0;
}

// Reads one field of a kernel structure that is reached through untyped memory.
#define READ(to, from) bpf_probe_read_kernel(&(to), sizeof(to), &(from))

SEC("iter/unix")
int netstat_unix(struct bpf_iter__unix *ctx)
{
	struct sock *sk = ctx->unix_sk;

	if (!sk)
		return 0;
	// The kernel holds no lock that matters: what changes under the walk is read as something that is no socket, or ends it.
	struct sk_buff *head = (struct sk_buff *)&sk->sk_receive_queue.next;
	struct sk_buff *skb = sk->sk_receive_queue.next;
	for (int message = 0; message < MESSAGES; message++) {
		if (!skb || skb == head)
			break;
		struct unix_skb_parms *parms = (struct unix_skb_parms *)&skb->cb;
		struct scm_fp_list *list = 0;
		short count = 0;
		READ(list, parms->fp);
		if (list)
			READ(count, list->count);
		for (int at = 0; at < DESCRIPTORS; at++) {
			struct file *file = 0;
			struct inode *inode = 0;
			struct super_block *sb = 0;
			unsigned long magic = 0, number = 0;
			if (at >= count)
				break;
			READ(file, list->fp[at]);
			READ(inode, file->f_inode);
			READ(sb, inode->i_sb);
			READ(magic, sb->s_magic);
			READ(number, inode->i_ino);
			struct record record = { .socket = number, .kind = UNDER_WAY };
			if (magic == SOCKFS_MAGIC)
				bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
		}
		struct sk_buff *next = 0;
		READ(next, skb->next);
		skb = next;
	}
	return 0;
}
