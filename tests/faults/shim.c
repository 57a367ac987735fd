/* Makes the n-th call of a kind on a path fail, for tests: preloaded before the C library.

   FAULT_CALL   read, write, fsync, rename, open, mkdir or unlink
   FAULT_UNDER  calls count whose path holds this text
   FAULT_NTH    which of them fails, from 1; 0 for none
   FAULT_FOREVER  1: all from there on
   FAULT_ERRNO  the number of the error; 0: the call never comes back
   FAULT_COUNT  a file that the number of calls is written to when the process ends

   FAULT_LOG    a file that every change below FAULT_UNDER is appended to, for a power cut to be
                replayed: "op inode offset size" and two paths, a line, then the bytes written */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

static int logged = -1;
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

static int is_logged(const char *path) {
    const char *under = getenv("FAULT_UNDER");
    return getenv("FAULT_LOG") && under && path && strstr(path, under) != 0;
}

/* All of it by the kernel's own calls: those of this file would be counted. */
static void note(const char *op, long inode, long offset, const void *data, long size, const char *one, const char *two) {
    char head[8600];
    if (logged < 0)
        logged = syscall(SYS_openat, AT_FDCWD, getenv("FAULT_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int length = snprintf(head, sizeof head, "%s %ld %ld %ld %s %s\n", op, inode, offset, size, one, two ?: "-");
    if (syscall(SYS_write, logged, head, length) != length || (size && syscall(SYS_write, logged, data, size) != size)) abort();
}

static int place_of(int fd, char *path, size_t room, long *inode) {
    char link[64];
    struct stat fact;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, room - 1);
    if (length < 0 || fstat(fd, &fact)) return 0;
    path[length] = 0;
    *inode = fact.st_ino;
    return is_logged(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t read(int fd, void *data, size_t size) { return strikes_fd("read", fd) ? -1 : REAL(read)(fd, data, size); }
ssize_t pread64(int fd, void *data, size_t size, off64_t at) { return strikes_fd("read", fd) ? -1 : REAL(pread64)(fd, data, size, at); }
ssize_t write(int fd, const void *data, size_t size) {
    char path[4096];
    long inode;
    if (strikes_fd("write", fd)) return -1;
    if (!place_of(fd, path, sizeof path, &inode)) return REAL(write)(fd, data, size);
    pthread_mutex_lock(&order);
    ssize_t done = REAL(write)(fd, data, size);
    if (done > 0) note("write", inode, lseek(fd, 0, SEEK_CUR) - done, data, done, path, 0);
    pthread_mutex_unlock(&order);
    return done;
}
int ftruncate64(int fd, off64_t size) {
    char path[4096];
    long inode;
    if (!place_of(fd, path, sizeof path, &inode)) return REAL(ftruncate64)(fd, size);
    pthread_mutex_lock(&order);
    int failed = REAL(ftruncate64)(fd, size);
    if (!failed) note("cut", inode, size, 0, 0, path, 0);
    pthread_mutex_unlock(&order);
    return failed;
}
int fsync(int fd) {
    char path[4096];
    long inode;
    if (strikes_fd("fsync", fd)) return -1;
    if (!place_of(fd, path, sizeof path, &inode)) return REAL(fsync)(fd);
    pthread_mutex_lock(&order);
    int failed = REAL(fsync)(fd);
    if (!failed) note("sync", inode, 0, 0, 0, path, 0);
    pthread_mutex_unlock(&order);
    return failed;
}

#define CHANGED(name, call, test_path, parameters, arguments, one, two) \
    int name parameters { \
        if (strikes(call, test_path)) return -1; \
        if (!is_logged(test_path)) return REAL(name) arguments; \
        pthread_mutex_lock(&order); \
        int failed = REAL(name) arguments; \
        if (!failed) note(#name, 0, 0, 0, 0, one, two); \
        pthread_mutex_unlock(&order); \
        return failed; \
    }
CHANGED(rename, "rename", to, (const char *from, const char *to), (from, to), from, to)
CHANGED(mkdir, "mkdir", path, (const char *path, mode_t mode), (path, mode), path, 0)
CHANGED(unlink, "unlink", path, (const char *path), (path), path, 0)
CHANGED(rmdir, "rmdir", path, (const char *path), (path), path, 0)

#define OPENED(name) \
    int name(const char *path, int flags, ...) { \
        va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
        int (*real)(const char *, int, mode_t) = dlsym(RTLD_NEXT, #name); \
        if (strikes("open", path)) return -1; \
        if (!(flags & (O_CREAT | O_TRUNC)) || !is_logged(path)) return real(path, flags, mode); \
        pthread_mutex_lock(&order); \
        int fd = real(path, flags, mode); \
        struct stat fact; \
        if (fd >= 0 && !fstat(fd, &fact)) note(flags & O_TRUNC ? "empty" : "open", fact.st_ino, 0, 0, 0, path, 0); \
        pthread_mutex_unlock(&order); \
        return fd; \
    }
OPENED(open)
OPENED(open64)
