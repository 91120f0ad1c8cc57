// Faults of a disk for one folder, between a program and the C library.
//
// FAULTS_FOLDER   only files below it are concerned
// FAULTS_CONTROL  its first byte says what the disk does; see `DiskMode` in ../disk.rs
// FAULTS_SYNCED   gets a line "inode length" for each file that was synced, with its length before the sync
//
// All of a program's calls pass through here; the first byte is looked at before anything else.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { SOUND, FULL, READ_ONLY, SYNC_FAILS, WRITE_FAILS, TORN_WRITES, READ_FAILS, NO_DESCRIPTORS };

static volatile unsigned char *control;
static const char *folder;
static int synced = -1;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void prepare(void) {
    const char *path = getenv("FAULTS_CONTROL");
    folder = getenv("FAULTS_FOLDER");
    if (!path || !folder) return;
    int fd = REAL(open)(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    void *map = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    const char *list = getenv("FAULTS_SYNCED");
    if (list) synced = REAL(open)(list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (map != MAP_FAILED) control = map;
}

static int mode(void) { return control ? *control : SOUND; }

static int below(const char *path) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

// Whether a path is concerned: an absolute one by its text, another by where the program stands.
static int concerns_path(const char *path) {
    if (!control || !path) return 0;
    if (path[0] == '/') return below(path);
    char whole[PATH_MAX];
    if (!getcwd(whole, sizeof whole)) return 0;
    size_t length = strlen(whole);
    if (length + strlen(path) + 2 > sizeof whole) return 0;
    whole[length] = '/';
    strcpy(whole + length + 1, path);
    return below(whole);
}

static int concerns(int fd) {
    if (!control) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int kept = errno;
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int fails(int code) {
    errno = code;
    return -1;
}

// What a write comes to: zero where it may go on, otherwise the error.
static int write_error(int fd) {
    switch (mode()) {
    case FULL: return concerns(fd) ? ENOSPC : 0;
    case READ_ONLY: return concerns(fd) ? EROFS : 0;
    case WRITE_FAILS: return concerns(fd) ? EIO : 0;
    default: return 0;
    }
}

static int is_torn(int fd, size_t count) { return mode() == TORN_WRITES && count > 1 && concerns(fd); }

ssize_t write(int fd, const void *bytes, size_t count) {
    int error = write_error(fd);
    if (error) return fails(error);
    if (is_torn(fd, count)) {
        if (REAL(write)(fd, bytes, count / 2) < 0) return -1;
        return fails(EIO);
    }
    return REAL(write)(fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    int error = write_error(fd);
    if (error) return fails(error);
    if (is_torn(fd, count)) {
        if (REAL(pwrite64)(fd, bytes, count / 2, at) < 0) return -1;
        return fails(EIO);
    }
    return REAL(pwrite64)(fd, bytes, count, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { return pwrite64(fd, bytes, count, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int error = write_error(fd);
    return error ? fails(error) : REAL(writev)(fd, parts, count);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    int error = write_error(fd);
    return error ? fails(error) : REAL(pwritev64)(fd, parts, count, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return pwritev64(fd, parts, count, at); }

static int read_fails(int fd) { return mode() == READ_FAILS && concerns(fd); }

ssize_t read(int fd, void *bytes, size_t count) {
    return read_fails(fd) ? fails(EIO) : REAL(read)(fd, bytes, count);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t at) {
    return read_fails(fd) ? fails(EIO) : REAL(pread64)(fd, bytes, count, at);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t at) { return pread64(fd, bytes, count, at); }

static int sync_of(int fd, int (*sync)(int)) {
    if (!control || !concerns(fd)) return sync(fd);
    if (mode() == SYNC_FAILS) return fails(EIO);
    if (mode() == READ_ONLY) return fails(EROFS);
    struct stat before;
    int known = fstat(fd, &before) == 0;
    int result = sync(fd);
    if (result == 0 && known && S_ISREG(before.st_mode) && synced >= 0) {
        char line[64];
        int length = snprintf(line, sizeof line, "%llu %llu\n", (unsigned long long)before.st_ino,
                              (unsigned long long)before.st_size);
        ssize_t noted = REAL(write)(synced, line, (size_t)length);
        (void)noted;
    }
    return result;
}

int fsync(int fd) { return sync_of(fd, REAL(fsync)); }
int fdatasync(int fd) { return sync_of(fd, REAL(fdatasync)); }

static int open_error(const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0;
    switch (mode()) {
    case READ_ONLY: return writes && concerns_path(path) ? EROFS : 0;
    case FULL: return (flags & O_CREAT) && concerns_path(path) ? ENOSPC : 0;
    case NO_DESCRIPTORS: return concerns_path(path) ? EMFILE : 0;
    default: return 0;
    }
}

#define MODE_OF(flags, rights)                       \
    mode_t rights = 0;                               \
    if ((flags) & (O_CREAT | __O_TMPFILE)) {         \
        va_list rest;                                \
        va_start(rest, flags);                       \
        rights = (mode_t)va_arg(rest, int);          \
        va_end(rest);                                \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags, rights)
    int error = open_error(path, flags);
    return error ? fails(error) : REAL(open)(path, flags, rights);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags, rights)
    int error = open_error(path, flags);
    return error ? fails(error) : REAL(open64)(path, flags, rights);
}

int openat(int at, const char *path, int flags, ...) {
    MODE_OF(flags, rights)
    int error = open_error(path, flags);
    return error ? fails(error) : REAL(openat)(at, path, flags, rights);
}

int openat64(int at, const char *path, int flags, ...) {
    MODE_OF(flags, rights)
    int error = open_error(path, flags);
    return error ? fails(error) : REAL(openat64)(at, path, flags, rights);
}

static int name_error(const char *path) {
    switch (mode()) {
    case READ_ONLY: return concerns_path(path) ? EROFS : 0;
    default: return 0;
    }
}

int rename(const char *from, const char *to) {
    int error = name_error(to);
    return error ? fails(error) : REAL(rename)(from, to);
}

int link(const char *from, const char *to) {
    int error = name_error(to);
    return error ? fails(error) : REAL(link)(from, to);
}

int linkat(int at, const char *from, int beside, const char *to, int flags) {
    int error = name_error(to);
    return error ? fails(error) : REAL(linkat)(at, from, beside, to, flags);
}

int unlink(const char *path) {
    int error = name_error(path);
    return error ? fails(error) : REAL(unlink)(path);
}

int mkdir(const char *path, mode_t rights) {
    int error = name_error(path);
    return error ? fails(error) : REAL(mkdir)(path, rights);
}
