// SPDX-License-Identifier: MIT OR Apache-2.0 OR GPL-2.0-only
//
// Who changes the state of a TCP socket: for kernels that cannot run events.bpf.c (before Linux 5.12, or without BTF). It uses
// nothing but the fields of the tracepoint sock/inet_sock_set_state (Linux 4.16) and helpers of Linux 4.18, and reads no
// kernel memory. The reader finds the fields by the tracepoint's `format` file.
//
// Built with `cargo xtask bpf`. No conditional jumps: -mcpu=v3 has some that came with Linux 5.1.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

// Helpers by number (include/uapi/linux/bpf.h, ___BPF_FUNC_MAPPER).
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static u64 (*bpf_get_current_uid_gid)(void) = (void *)15;
static long (*bpf_get_current_comm)(void *to, u32 size) = (void *)16;
static long (*bpf_perf_event_output)(void *ctx, void *map, u64 flags, void *data, u64 size) = (void *)25;
static u64 (*bpf_get_current_cgroup_id)(void) = (void *)80;

enum { BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4 };
#define BPF_F_CURRENT_CPU 0xffffffffULL

struct map {
	u32 type, key_size, value_size, max_entries, flags;
};

// One entry for each processor; the loader puts the number in.
struct map changes SEC("maps") = { BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 0, 0 };

char _license[] SEC("license") = "Dual MIT/GPL";

// What the reader gets: `Change` in events/state_changes.rs.
struct change {
	u64 time; // nanoseconds since boot, without suspend
	u64 pid_tgid;
	u64 uid_gid;
	u64 cgroup;
	char comm[16];
	u64 fields[8]; // of the tracepoint, from its 8th byte on
};

INLINE void current(struct change *change)
{
	change->time = bpf_ktime_get_ns();
	change->pid_tgid = bpf_get_current_pid_tgid();
	change->uid_gid = bpf_get_current_uid_gid();
	change->cgroup = bpf_get_current_cgroup_id();
	bpf_get_current_comm(change->comm, sizeof(change->comm));
}

INLINE void fields(struct change *change, u64 *ctx)
{
	// The first 8 bytes are not for programs.
	change->fields[0] = ctx[1];
	change->fields[1] = ctx[2];
	change->fields[2] = ctx[3];
	change->fields[3] = ctx[4];
	change->fields[4] = ctx[5];
	change->fields[5] = ctx[6];
	change->fields[6] = ctx[7];
}

// 72 bytes, with a protocol of 16 bits (Linux 5.6).
SEC("tracepoint/72")
int netstat_states(u64 *ctx)
{
	struct change change;
	current(&change);
	fields(&change, ctx);
	change.fields[7] = ctx[8];
	bpf_perf_event_output(ctx, &changes, BPF_F_CURRENT_CPU, &change, sizeof(change));
	return 0;
}

// 71 bytes, with a protocol of 8 bits: the kernel refuses a program that looks beyond them.
SEC("tracepoint/71")
int netstat_states8(u64 *ctx)
{
	struct change change;
	u8 *end = (u8 *)&change.fields[7];
	volatile u8 *from = (volatile u8 *)&ctx[8];
	current(&change);
	fields(&change, ctx);
	change.fields[7] = 0;
	*(u32 *)end = *(volatile u32 *)from;
	*(u16 *)(end + 4) = *(volatile u16 *)(from + 4);
	end[6] = from[6];
	bpf_perf_event_output(ctx, &changes, BPF_F_CURRENT_CPU, &change, sizeof(change));
	return 0;
}
