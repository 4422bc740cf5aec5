// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// What happens to Internet sockets, as it happens: TCP connections opened, accepted, established and closed, UDP sockets at
// their first use. One record for each goes into a ring buffer.
//
// Who did it. A state changes in whatever process the packet happened to interrupt, so "current" may be a stranger. It is
// taken only where the kernel runs on behalf of the process that uses the socket:
//   * CLOSE -> SYN_SENT and CLOSE -> LISTEN: inside connect(2) and listen(2);
//   * ESTABLISHED -> FIN_WAIT1 and CLOSE_WAIT -> LAST_ACK: inside close(2), shutdown(2) or the end of the process
//     (tcp_close_state() in net/ipv4/tcp.c has no other caller);
//   * sock_send_length and sock_recv_length (Linux 6.3): at the end of every send and receive call. An accepted connection
//     gets its owner here, at its first use;
//   * the return of inet_csk_accept, where the kernel can trace functions.
//
// Nothing may slip by. The kernel leaves a program out when the same program is interrupted on the same processor: a packet that
// arrives while a process is at netstat_state changes the state of another socket, and netstat_state is not run for it. So a second
// one, netstat_nested, stands beside it, which works only then; the kernel counts what was left out, and the settings what the
// second one took, so what is left is lost and is known to be. And at a socket's end netstat_destroy tells what nobody has.
//
// Kernel threads own nothing. What is found is kept by the socket's cookie, which is never used twice, so a stale note can
// never be taken for another socket.
//
// The structures name only the fields that are read; the loader relocates each access by name (CO-RE). Built with
// `cargo xtask bpf`; needs Linux 5.12 for bpf_get_socket_cookie in tracing programs.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct in6_addr {
	u8 bytes[16];
};

struct ns_common {
	u32 inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	u32 skc_daddr;
	u32 skc_rcv_saddr;
	u16 skc_dport;
	u16 skc_num;
	u16 skc_family;
	volatile u8 skc_state;
	int skc_bound_dev_if;
	unsigned long skc_flags;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	u16 sk_protocol;
};

struct inet_sock {
	u16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u64 bytes_sent;
	u64 bytes_retrans;
	u64 bytes_received;
	u32 total_retrans;
	u32 srtt_us;
};

typedef struct {
	u32 val;
} kuid_t;

struct cred {
	kuid_t fsuid;
};

struct task_struct {
	u32 flags;
	int tgid;
	u64 start_boottime;
	struct task_struct *group_leader;
	const struct cred *cred;
	char comm[16];
};

#pragma clang attribute pop

// Helpers by number (include/uapi/linux/bpf.h, ___BPF_FUNC_MAPPER).
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*bpf_get_socket_cookie)(void *sk) = (void *)46;
static u64 (*bpf_get_current_cgroup_id)(void) = (void *)80;
static u64 (*bpf_ktime_get_boot_ns)(void) = (void *)125;
static void *(*bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static u64 (*bpf_ringbuf_query)(void *ring, u64 flags) = (void *)134;
static struct tcp_sock *(*bpf_skc_to_tcp_sock)(void *sk) = (void *)137;
static struct task_struct *(*bpf_get_current_task_btf)(void) = (void *)158;

enum {
	BPF_MAP_TYPE_HASH = 1, BPF_MAP_TYPE_ARRAY = 2, BPF_MAP_TYPE_PERCPU_ARRAY = 6, BPF_MAP_TYPE_LRU_HASH = 9, BPF_MAP_TYPE_RINGBUF = 27
};
enum { BPF_F_NO_PREALLOC = 1, BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2, BPF_RB_AVAIL_DATA = 0 };
enum { AF_INET = 2, AF_INET6 = 10, IPPROTO_TCP = 6, IPPROTO_UDP = 17, MSG_PEEK = 2 };
enum { PF_KTHREAD = 0x00200000 };  // include/linux/sched.h
enum { SOCK_DONE = 1 };            // enum sock_flags: the peer's FIN has come
enum {                             // include/net/tcp_states.h
	ESTABLISHED = 1, SYN_SENT = 2, SYN_RECV = 3, FIN_WAIT1 = 4, CLOSE = 7, CLOSE_WAIT = 8, LAST_ACK = 9, LISTEN = 10
};

// What a record tells.
enum {
	OPENED = 1,  // connect(2) has begun; a UDP socket was used for the first time
	CHANGED = 2, // the state changed
	CLOSED = 3,  // the socket is at its end
	TAKEN = 4,   // the process that uses an accepted connection is known now
	PEER = 5,    // a UDP socket was connected to another peer
};
enum { NO_DIRECTION, OUTGOING, INCOMING };

// Addresses in network order; IPv4 in the first word, the others 0.
struct address {
	u32 words[4];
} __attribute__((aligned(8)));

struct owner {
	u64 start; // when the process started: nanoseconds since boot, suspend included
	u64 cgroup;
	u32 tgid; // in the initial PID namespace; 0: not known
	u32 uid;
	char comm[16];
};

// What is kept of a socket. Bytes and peer: UDP only, TCP counts itself.
struct note {
	u64 opened;
	struct owner owner;
	u64 sent;
	u64 received;
	struct address peer;
	u16 peer_port;
	u8 direction;
	u8 pad[5];
};

// What the reader gets: `Record` in events/record.rs.
struct record {
	u64 time; // nanoseconds since boot, suspend included
	u64 cookie;
	u64 opened;
	struct owner owner;
	u64 sent;
	u64 received;
	u32 netns;
	u32 retransmits;
	u32 rtt; // microseconds
	u32 interface;
	struct address local;
	struct address foreign;
	u16 local_port;   // in network order
	u16 foreign_port; // in network order
	u8 kind;
	u8 family;
	u8 protocol;
	u8 before;
	u8 state;
	u8 direction;
	u8 pad[6];
};

struct settings {
	u64 lost_records; // no room in the ring
	u64 lost_notes;   // no room for a note
	u32 netns;        // only sockets of this network namespace; 0: all
	u32 changes;      // whether every change of state is wanted
	u32 wake_at;      // wake the reader at so many bytes
	u32 pad;
	u64 nested; // changes of state that netstat_nested took
};

struct map {
	u32 type, key_size, value_size, max_entries, flags;
};

struct map settings SEC("maps") = { BPF_MAP_TYPE_ARRAY, 4, sizeof(struct settings), 1, 0 };
struct map tcp_notes SEC("maps") = { BPF_MAP_TYPE_HASH, 8, sizeof(struct note), 262144, BPF_F_NO_PREALLOC };
struct map udp_notes SEC("maps") = { BPF_MAP_TYPE_LRU_HASH, 8, sizeof(struct note), 16384, 0 };
// Processes seen: the reader is woken at once for a new one, to look at it while it lives.
struct map seen SEC("maps") = { BPF_MAP_TYPE_LRU_HASH, 4, 8, 4096, 0 };
struct map ring SEC("maps") = { BPF_MAP_TYPE_RINGBUF, 0, 0, 8388608, 0 };
// Whether netstat_state is at work on this processor.
struct map running SEC("maps") = { BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1, 0 };

// bpf_get_current_task_btf and others are for programs under a GPL-compatible licence.
char _license[] SEC("license") = "Dual MIT/GPL";

INLINE struct settings *set(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&settings, &zero);
}

// Copies 16 bytes of a kernel structure. By plain loads, which the verifier checks against the structure's type: the helper for it,
// bpf_probe_read_kernel, is refused where the kernel is locked down for confidentiality.
INLINE void copy16(void *to, const void *from)
{
	const u64 *source = from;
	u64 *target = to;
	target[0] = source[0];
	target[1] = source[1];
}

// Whether the socket is of a kind that is wanted: its family, or 0.
INLINE u16 wanted(struct sock *sk, struct settings *now)
{
	u16 family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (now->netns && sk->__sk_common.skc_net.net->ns.inum != now->netns)
		return 0;
	return family;
}

// Takes the current process as the owner; 1 when it is one that the reader has not seen.
INLINE int take(struct owner *owner)
{
	struct task_struct *task = bpf_get_current_task_btf();
	if (task->flags & PF_KTHREAD)
		return 0;
	struct task_struct *leader = task->group_leader;
	owner->tgid = (u32)task->tgid;
	owner->start = leader->start_boottime;
	owner->uid = task->cred->fsuid.val;
	owner->cgroup = bpf_get_current_cgroup_id();
	copy16(owner->comm, &leader->comm);
	u64 *start = bpf_map_lookup_elem(&seen, &owner->tgid);
	if (start && *start == owner->start)
		return 0;
	bpf_map_update_elem(&seen, &owner->tgid, &owner->start, 0);
	return 1;
}

INLINE void read_foreign(struct address *to, struct sock *sk, u16 family)
{
	if (family == AF_INET) {
		to->words[0] = sk->__sk_common.skc_daddr;
		to->words[1] = to->words[2] = to->words[3] = 0;
	} else {
		copy16(to, &sk->__sk_common.skc_v6_daddr);
	}
}

// The compiler must not turn the structures' zeroing into relocated accesses, so the record is filled field by field.
INLINE void tell(struct sock *sk, struct settings *now, u64 cookie, u16 family, u8 kind, u8 before, u8 state,
		 struct note *note, int hurry)
{
	struct record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		__sync_fetch_and_add(&now->lost_records, 1);
		return;
	}
	record->time = bpf_ktime_get_boot_ns();
	record->cookie = cookie;
	record->opened = 0;
	record->direction = NO_DIRECTION;
	record->sent = 0;
	record->received = 0;
	if (note) {
		record->opened = note->opened;
		record->direction = note->direction;
		record->owner = note->owner;
		record->sent = note->sent;
		record->received = note->received;
	} else {
		__builtin_memset(&record->owner, 0, sizeof(record->owner));
	}
	record->netns = sk->__sk_common.skc_net.net->ns.inum;
	record->interface = (u32)sk->__sk_common.skc_bound_dev_if;
	record->retransmits = 0;
	record->rtt = 0;
	record->kind = kind;
	record->family = (u8)family;
	record->protocol = (u8)sk->sk_protocol;
	record->before = before;
	record->state = state;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	if (family == AF_INET) {
		record->local.words[0] = sk->__sk_common.skc_rcv_saddr;
		record->local.words[1] = record->local.words[2] = record->local.words[3] = 0;
	} else {
		copy16(&record->local, &sk->__sk_common.skc_v6_rcv_saddr);
	}
	read_foreign(&record->foreign, sk, family);
	record->local_port = __builtin_bswap16(sk->__sk_common.skc_num);
	record->foreign_port = sk->__sk_common.skc_dport;
	if (record->protocol == IPPROTO_TCP) {
		struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
		if (tcp) {
			// A closed connection has given back its port, and has kept this one.
			record->local_port = tcp->inet_conn.icsk_inet.inet_sport;
			// Payload only: what was sent again is taken off, and the peer's FIN counts as one byte received.
			record->sent = tcp->bytes_sent - tcp->bytes_retrans;
			record->received = tcp->bytes_received - (sk->__sk_common.skc_flags >> SOCK_DONE & 1);
			record->retransmits = tcp->total_retrans;
			record->rtt = tcp->srtt_us >> 3;
		}
	}
	u64 flags = BPF_RB_NO_WAKEUP;
	if (hurry || bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > now->wake_at)
		flags = BPF_RB_FORCE_WAKEUP;
	bpf_ringbuf_submit(record, flags);
}

INLINE void keep(struct settings *now, void *map, u64 cookie, struct note *note)
{
	if (bpf_map_update_elem(map, &cookie, note, 0))
		__sync_fetch_and_add(&now->lost_notes, 1);
}

INLINE void changed(u64 *ctx, struct settings *now)
{
	struct sock *sk = (struct sock *)ctx[0];
	int before = (int)ctx[1], state = (int)ctx[2];
	if (sk->sk_protocol != IPPROTO_TCP)
		return;
	u16 family = wanted(sk, now);
	// A connection is copied from its listener and enters SYN_RECV half made; the next change tells all.
	if (!family || state == SYN_RECV)
		return;
	u64 cookie = bpf_get_socket_cookie(sk);
	struct note *note = bpf_map_lookup_elem(&tcp_notes, &cookie);

	if (state == SYN_SENT || (state == LISTEN && before == CLOSE) || (state == ESTABLISHED && before == SYN_RECV && !note)) {
		struct note fresh = {};
		int hurry = 0;
		fresh.opened = bpf_ktime_get_boot_ns();
		if (state != ESTABLISHED)
			hurry = take(&fresh.owner);
		fresh.direction = state == SYN_SENT ? OUTGOING : state == LISTEN ? NO_DIRECTION : INCOMING;
		keep(now, &tcp_notes, cookie, &fresh);
		tell(sk, now, cookie, family, OPENED, (u8)before, (u8)state, &fresh, hurry);
		return;
	}
	int closing = (state == FIN_WAIT1 && before == ESTABLISHED) || (state == LAST_ACK && before == CLOSE_WAIT);
	if (closing) {
		if (!note) {
			// From before this program was loaded: only the owner is news.
			struct note fresh = {};
			take(&fresh.owner);
			keep(now, &tcp_notes, cookie, &fresh);
		} else if (!note->owner.tgid) {
			take(&note->owner);
		}
	}
	if (state == CLOSE) {
		tell(sk, now, cookie, family, CLOSED, (u8)before, (u8)state, note, 0);
		bpf_map_delete_elem(&tcp_notes, &cookie);
	} else if (state == ESTABLISHED || now->changes) {
		tell(sk, now, cookie, family, CHANGED, (u8)before, (u8)state, note, 0);
	}
}

SEC("tp_btf/inet_sock_set_state")
int netstat_state(u64 *ctx)
{
	u32 zero = 0;
	volatile u64 *at_work = bpf_map_lookup_elem(&running, &zero);
	struct settings *now = set();
	if (!at_work || !now)
		return 0;
	*at_work = 1;
	changed(ctx, now);
	*at_work = 0;
	return 0;
}

SEC("tp_btf/inet_sock_set_state.nested")
int netstat_nested(u64 *ctx)
{
	u32 zero = 0;
	volatile u64 *at_work = bpf_map_lookup_elem(&running, &zero);
	struct settings *now = set();
	if (!at_work || !now || !*at_work)
		return 0;
	__sync_fetch_and_add(&now->nested, 1);
	changed(ctx, now);
	return 0;
}

// A note is taken away when the end is told: one that is still there was not.
SEC("tp_btf/tcp_destroy_sock")
int netstat_destroy(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct settings *now = set();
	if (!now || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	u16 family = wanted(sk, now);
	if (!family)
		return 0;
	u64 cookie = bpf_get_socket_cookie(sk);
	struct note *note = bpf_map_lookup_elem(&tcp_notes, &cookie);
	if (note) {
		// From which state it came, nobody knows any more.
		tell(sk, now, cookie, family, CLOSED, CLOSE, CLOSE, note, 0);
		bpf_map_delete_elem(&tcp_notes, &cookie);
	}
	return 0;
}

INLINE void used_tcp(struct sock *sk, struct settings *now)
{
	u64 cookie = bpf_get_socket_cookie(sk);
	struct note *note = bpf_map_lookup_elem(&tcp_notes, &cookie);
	u8 state = sk->__sk_common.skc_state;
	if (note) {
		if (note->owner.tgid)
			return;
		int hurry = take(&note->owner);
		if (note->owner.tgid)
			tell(sk, now, cookie, sk->__sk_common.skc_family, TAKEN, state, state, note, hurry);
	} else if (state == CLOSE) {
		// Reset by the peer before its program looked at it.
		struct note late = {};
		int hurry = take(&late.owner);
		if (late.owner.tgid)
			tell(sk, now, cookie, sk->__sk_common.skc_family, TAKEN, state, state, &late, hurry);
	}
}

INLINE void used_udp(struct sock *sk, struct settings *now, u64 sent, u64 received)
{
	u16 family = sk->__sk_common.skc_family;
	u64 cookie = bpf_get_socket_cookie(sk);
	u8 state = sk->__sk_common.skc_state;
	struct address peer;
	read_foreign(&peer, sk, family);
	u16 port = sk->__sk_common.skc_dport;
	struct note *note = bpf_map_lookup_elem(&udp_notes, &cookie);
	if (note) {
		if (sent)
			__sync_fetch_and_add(&note->sent, sent);
		if (received)
			__sync_fetch_and_add(&note->received, received);
		if (note->peer_port == port && note->peer.words[0] == peer.words[0] && note->peer.words[1] == peer.words[1] &&
		    note->peer.words[2] == peer.words[2] && note->peer.words[3] == peer.words[3])
			return;
		note->peer = peer;
		note->peer_port = port;
		tell(sk, now, cookie, family, PEER, state, state, note, 0);
		return;
	}
	struct note fresh = {};
	fresh.opened = bpf_ktime_get_boot_ns();
	int hurry = take(&fresh.owner);
	fresh.sent = sent;
	fresh.received = received;
	fresh.peer = peer;
	fresh.peer_port = port;
	keep(now, &udp_notes, cookie, &fresh);
	tell(sk, now, cookie, family, OPENED, state, state, &fresh, hurry);
}

INLINE int used(struct sock *sk, int sent, int received)
{
	struct settings *now = set();
	if (!now || !wanted(sk, now))
		return 0;
	u16 protocol = sk->sk_protocol;
	if (protocol == IPPROTO_TCP)
		used_tcp(sk, now);
	else if (protocol == IPPROTO_UDP)
		used_udp(sk, now, sent > 0 ? (u64)sent : 0, received > 0 ? (u64)received : 0);
	return 0;
}

SEC("tp_btf/sock_send_length")
int netstat_send(u64 *ctx)
{
	return used((struct sock *)ctx[0], (int)ctx[1], 0);
}

SEC("tp_btf/sock_recv_length")
int netstat_receive(u64 *ctx)
{
	int flags = (int)ctx[2];
	return used((struct sock *)ctx[0], 0, flags & MSG_PEEK ? 0 : (int)ctx[1]);
}

// Linux 6.10 and later: struct sock *inet_csk_accept(struct sock *sk, struct proto_accept_arg *arg).
SEC("fexit/inet_csk_accept")
int netstat_accept(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[2];
	struct settings *now = set();
	if (now && sk && sk->sk_protocol == IPPROTO_TCP && wanted(sk, now))
		used_tcp(sk, now);
	return 0;
}

// Before: struct sock *inet_csk_accept(struct sock *sk, int flags, int *err, bool kern).
SEC("fexit/inet_csk_accept.4")
int netstat_accept4(u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[4];
	struct settings *now = set();
	if (now && sk && sk->sk_protocol == IPPROTO_TCP && wanted(sk, now))
		used_tcp(sk, now);
	return 0;
}
