/* What Python calls: the system calls it has no wrapper for, and the spawn of the container's init.
 */
#ifndef PR_SHIM_H
#define PR_SHIM_H

#include <stddef.h>
#include <stdint.h>

/* Every function returns -errno on failure. */
int pr_sealed_memfd(const char *name, const void *bytes, size_t length, int executable);
int pr_init_memfd(void);
int pr_tmpfs(unsigned int attributes);
int pr_init_file(int dir_fd);
int pr_spawn(uint64_t namespaces, int cgroup_fd, int init_fd, const int *fds, int count, int first,
	     int *pidfd);
int pr_open_tree(int fd, const char *path, unsigned int flags);
int pr_mount_setattr(int fd, unsigned int flags, uint64_t set, uint64_t clear, uint64_t propagation,
		     int userns_fd);
int pr_umount(const char *path, int flags);
int pr_fs_type(int fd, uint64_t *magic);
int pr_ns_type(int fd);
int pr_subreaper(int on);
int pr_capabilities(uint64_t *permitted);
int pr_cloexec_from(unsigned int first);
int pr_sched_setattr(int pid, void *attributes);
int pr_pidfd_getfd(int pidfd, int fd);
int pr_seccomp_knows(unsigned int flags);
int pr_raw_terminal(int fd, void *saved, size_t room);
int pr_plain_newlines(int master);
int pr_restore_terminal(int fd, const void *saved);
int pr_copy_window_size(int from, int to);

int pr_inotify_init(void);
int pr_inotify_add(int fd, const char *path, unsigned int mask);
int pr_exit_status(int pidfd, int *status);
int pr_open_files(uint64_t *pair);
int pr_set_open_files(uint64_t soft, uint64_t hard);

int pr_bpf_load_devices(const void *instructions, unsigned int count, const char *name);
int pr_bpf_attach_devices(int cgroup_fd, int program_fd, int replaced);
int pr_bpf_detach_devices(int cgroup_fd, int program_fd);
int pr_bpf_attached_devices(int cgroup_fd, uint32_t *ids, unsigned int room);
int pr_bpf_program(uint32_t id, char *name);

#endif
