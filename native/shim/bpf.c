/* bpf(2), as far as the device rules of a v2 cgroup need it: BPF_PROG_TYPE_CGROUP_DEVICE. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <unistd.h>
#include "../init/sys.h"
#include "shim.h"

static int bpf(int command, union bpf_attr *attr)
{
	return (int)SYS(bpf, command, attr, sizeof *attr);
}

int pr_bpf_load_devices(const void *instructions, unsigned int count, const char *name)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.expected_attach_type = BPF_CGROUP_DEVICE;
	attr.insns = (uint64_t)(uintptr_t)instructions;
	attr.insn_cnt = count;
	attr.license = (uint64_t)(uintptr_t) "GPL";
	strncpy(attr.prog_name, name, sizeof attr.prog_name - 1);
	return bpf(BPF_PROG_LOAD, &attr);
}

/* Beside the programs of others (BPF_F_ALLOW_MULTI: all of them have to agree); in the place of
 * `replaced` where that is not -1. */
int pr_bpf_attach_devices(int cgroup_fd, int program_fd, int replaced)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)program_fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	if (replaced >= 0) {
		attr.attach_flags |= BPF_F_REPLACE;
		attr.replace_bpf_fd = (uint32_t)replaced;
	}
	return bpf(BPF_PROG_ATTACH, &attr);
}

int pr_bpf_detach_devices(int cgroup_fd, int program_fd)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)program_fd;
	attr.attach_type = BPF_CGROUP_DEVICE;
	return bpf(BPF_PROG_DETACH, &attr);
}

/* How many programs are attached to the group itself; their ids. */
int pr_bpf_attached_devices(int cgroup_fd, uint32_t *ids, unsigned int room)
{
	union bpf_attr attr;
	int result;

	memset(&attr, 0, sizeof attr);
	attr.query.target_fd = (uint32_t)cgroup_fd;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.prog_ids = (uint64_t)(uintptr_t)ids;
	attr.query.prog_cnt = room;
	result = bpf(BPF_PROG_QUERY, &attr);
	return result < 0 ? result : (int)attr.query.prog_cnt;
}

/* A descriptor of the program with this id, and its name (16 bytes). */
int pr_bpf_program(uint32_t id, char *name)
{
	struct bpf_prog_info info;
	union bpf_attr attr;
	int fd, result;

	memset(&attr, 0, sizeof attr);
	attr.prog_id = id;
	fd = bpf(BPF_PROG_GET_FD_BY_ID, &attr);
	if (fd < 0)
		return fd;
	memset(&attr, 0, sizeof attr);
	memset(&info, 0, sizeof info);
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof info;
	attr.info.info = (uint64_t)(uintptr_t)&info;
	result = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr);
	if (result < 0) {
		close(fd);
		return result;
	}
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	return fd;
}
