/* Makes the n-th call of a kind on a path fail, for tests: preloaded before the C library.

   FAULT_CALL   read, write, fsync, rename, open, mkdir or unlink
   FAULT_UNDER  calls count whose path holds this text
   FAULT_NTH    which of them fails, from 1; 0 for none
   FAULT_FOREVER  1: all from there on
   FAULT_ERRNO  the number of the error; 0: the call never comes back
   FAULT_COUNT  a file that the number of calls is written to when the process ends */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static long calls;

static int strikes(const char *call, const char *path) {
    const char *wanted = getenv("FAULT_CALL"), *under = getenv("FAULT_UNDER");
    if (!wanted || !under || !path || strcmp(wanted, call) || !strstr(path, under)) return 0;
    long nth = atol(getenv("FAULT_NTH") ?: "0");
    long now = __sync_add_and_fetch(&calls, 1);
    int forever = getenv("FAULT_FOREVER") && atoi(getenv("FAULT_FOREVER"));
    if (!nth || (forever ? now < nth : now != nth)) return 0;
    errno = atoi(getenv("FAULT_ERRNO") ?: "5");
    while (!errno) pause();
    return 1;
}

static int strikes_fd(const char *call, int fd) {
    char link[64], path[4096];
    const char *wanted = getenv("FAULT_CALL");
    if (!wanted || strcmp(wanted, call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strikes(call, path);
}

__attribute__((destructor)) static void told(void) {
    const char *place = getenv("FAULT_COUNT");
    if (!place) return;
    FILE *file = fopen(place, "w");
    if (file) { fprintf(file, "%ld\n", calls); fclose(file); }
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *data, size_t size) { return strikes_fd("read", fd) ? -1 : REAL(read)(fd, data, size); }
ssize_t pread64(int fd, void *data, size_t size, off64_t at) { return strikes_fd("read", fd) ? -1 : REAL(pread64)(fd, data, size, at); }
ssize_t write(int fd, const void *data, size_t size) { return strikes_fd("write", fd) ? -1 : REAL(write)(fd, data, size); }
int fsync(int fd) { return strikes_fd("fsync", fd) ? -1 : REAL(fsync)(fd); }
int rename(const char *from, const char *to) { return strikes("rename", to) ? -1 : REAL(rename)(from, to); }
int mkdir(const char *path, mode_t mode) { return strikes("mkdir", path) ? -1 : REAL(mkdir)(path, mode); }
int unlink(const char *path) { return strikes("unlink", path) ? -1 : REAL(unlink)(path); }

#define OPENED(name) \
    int name(const char *path, int flags, ...) { \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
        return strikes("open", path) ? -1 : ((int (*)(const char *, int, mode_t))dlsym(RTLD_NEXT, #name))(path, flags, mode); \
    }
OPENED(open)
OPENED(open64)
