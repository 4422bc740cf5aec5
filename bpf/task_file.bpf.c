// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Who holds which socket: an iterator over every descriptor of every process (`iter/task_file`), which writes one
// record for each descriptor that is a socket, of whatever family and network namespace: inodes tell them apart.
//
// The structures below name only the fields that are read. Their offsets are those of the running kernel: the loader
// relocates each access by name (CO-RE), so the order here means nothing. No kernel header is needed.
//
// Built with `cargo xtask bpf`; needs Linux 5.11 for bpf_sock_from_file.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock;

struct socket {
	struct sock *sk;
};

struct inode {
	unsigned long i_ino;
};

struct file {
	struct inode *f_inode;
};

struct task_struct {
	int pid;
	int tgid;
	u64 start_boottime;
	struct task_struct *group_leader;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

#pragma clang attribute pop

// The iterator's context as the program sees it: each member in 8 bytes (include/linux/bpf.h, kernel/bpf/task_iter.c).
// Not relocated: the verifier rewrites these accesses.
struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	u32 fd __attribute__((aligned(8)));
	struct file *file;
};

// Helpers by number (include/uapi/linux/bpf.h, ___BPF_FUNC_MAPPER).
static long (*bpf_seq_write)(struct seq_file *seq, const void *data, u32 length) = (void *)127;
static struct socket *(*bpf_sock_from_file)(struct file *file) = (void *)162;

// What the reader gets, in the machine's byte order: `Record` in owners/ebpf.rs.
struct record {
	u64 start; // when the process started: nanoseconds since boot, suspend included
	u32 inode; // the socket's inode in sockfs
	u32 tgid;  // the process, in the initial PID namespace
	u32 tid;   // the thread whose descriptor table this is
	u32 fd;
};

// bpf_seq_write is for programs under a GPL-compatible licence.
char _license[] SEC("license") = "Dual MIT/GPL";

SEC("iter/task_file")
int netstat_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;

	// The last call has neither: it only says that the end is reached.
	if (!task || !file)
		return 0;

	struct socket *socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	// NULL between socket() or accept() and the end of its work, and after close().
	if (!socket->sk)
		return 0;

	// The start of the leader is what /proc/PID/stat tells.
	struct record record = {
		.start = task->group_leader->start_boottime,
		.inode = (u32)file->f_inode->i_ino,
		.tgid = (u32)task->tgid,
		.tid = (u32)task->pid,
		.fd = ctx->fd,
	};
	// A full buffer is the kernel's business: it takes the record back, hands out what it has and calls again.
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
