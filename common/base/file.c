#include "common/base/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static vly_status failed(const char *doing, const char *path) {
    vly_status status = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? VLY_ENOSPACE
                        : errno == ENOENT || errno == ENOTDIR                ? VLY_ENOTFOUND
                        : errno == ELOOP || errno == ENXIO || errno == ENAMETOOLONG ||
                                errno == EACCES || errno == EPERM || errno == EROFS
                            ? VLY_EINVAL /* of the name, not of the disk */
                            : VLY_EIO;
    return vly_fail(status, "cannot %s %s: %s", doing, path, strerror(errno));
}

vly_status vly_file_read(const char *path, size_t limit, char **out, size_t *bytes) {
    struct stat info;
    char *text = NULL;
    vly_status status = VLY_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not block us */
    if (fd < 0) return failed("open", path);
    if (fstat(fd, &info) || !S_ISREG(info.st_mode)) {
        status = vly_fail(VLY_EINVAL, "%s is not a file", path);
        goto close_file;
    }
    if ((size_t)info.st_size > limit) {
        status = vly_fail(VLY_EINVAL, "%s has %lld bytes, more than the %zu that are read", path,
                          (long long)info.st_size, limit);
        goto close_file;
    }
    size_t want = (size_t)info.st_size, got = 0;
    if (!(text = malloc(want + 1))) {
        status = vly_fail(VLY_ENOMEM, "no memory for the %zu bytes of %s", want, path);
        goto close_file;
    }
    while (got < want) {
        ssize_t n = read(fd, text + got, want - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            status = n ? failed("read", path)
                       : vly_fail(VLY_EIO, "%s became shorter while it was read", path);
            goto close_file;
        }
        got += (size_t)n;
    }
    text[got] = '\0';
    *out = text, *bytes = got, text = NULL;
close_file:
    free(text);
    close(fd);
    return status;
}

FILE *vly_file_open(const char *path, vly_status *status) {
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const bool regular = fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
    FILE *file = regular ? fdopen(fd, "r") : NULL;
    if (file) return file;
    *status = fd >= 0 && !regular ? vly_fail(VLY_EINVAL, "%s is not a file", path)
                                  : failed("open", path);
    if (fd >= 0) close(fd);
    return NULL;
}

vly_status vly_file_line(FILE *file, const char *path, size_t line, char *text, size_t bytes,
                         bool *there) {
    *there = fgets(text, (int)bytes, file) != NULL;
    if (!*there) return ferror(file) ? failed("read", path) : VLY_OK;
    if (strchr(text, '\n') || feof(file)) return VLY_OK;
    return vly_fail(VLY_EINVAL, "%s:%zu: the line is longer than %zu characters", path, line,
                    bytes - 2);
}

static FILE *open_without_waiting(const char *path, int flags, const char *mode,
                                  vly_status *status) {
    const int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0644);
    struct stat there;
    FILE *file = NULL;
    if (fd >= 0 && fstat(fd, &there) == 0 && S_ISDIR(there.st_mode))
        errno = EISDIR;
    else if (fd >= 0 && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0)
        file = fdopen(fd, mode);
    if (file) return file;
    *status = errno == ENXIO ? vly_fail(VLY_EINVAL, "cannot write %s: nobody reads this pipe", path)
              : errno == EISDIR ? vly_fail(VLY_EINVAL, "%s is a folder, not a file", path)
                                : failed("open", path);
    if (fd >= 0) close(fd);
    return NULL;
}

FILE *vly_file_open_input(const char *path, vly_status *status) {
    return open_without_waiting(path, O_RDONLY, "r", status);
}

FILE *vly_file_open_output(const char *path, vly_status *status) {
    return open_without_waiting(path, O_WRONLY | O_CREAT | O_TRUNC, "w", status);
}

int vly_file_open_own(const char *path, int flags, vly_status *status) {
    struct stat there;
    const int fd = open(path, flags | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0644);
    if (fd >= 0 && fstat(fd, &there) == 0 && S_ISREG(there.st_mode)) return fd;
    const bool link = fd < 0 && errno == ELOOP;
    *status = link || fd >= 0 || errno == ENXIO || errno == EISDIR
                  ? vly_fail(VLY_EINVAL, "cannot write %s: it is there and is %s", path,
                             link ? "a link" : "not a file")
                  : failed("write", path);
    if (fd >= 0) close(fd);
    return -1;
}

bool vly_file_is_odd(const char *path) {
    struct stat there;
    return stat(path, &there) == 0 && !S_ISREG(there.st_mode);
}

/* Names of files that are being written, in their writers' memory. */
enum { UNFINISHED = 8 };
static const char *_Atomic unfinished[UNFINISHED];

static void change_unfinished(const char *from, const char *to) {
    for (int i = 0; i < UNFINISHED; i++) {
        const char *there = from;
        if (atomic_compare_exchange_strong(&unfinished[i], &there, to)) return;
    }
}

void vly_file_abandon(void) {
    for (int i = 0; i < UNFINISHED; i++) {
        const char *temporary = atomic_load(&unfinished[i]);
        if (temporary) unlink(temporary);
    }
}

int vly_file_begin(const char *path, char *temporary, size_t temporary_bytes, vly_status *status) {
    if ((size_t)snprintf(temporary, temporary_bytes, "%s.tmp-%ld", path, (long)getpid()) >=
        temporary_bytes) {
        *status = vly_fail(VLY_EINVAL, "the path %s is too long", path);
        return -1;
    }
    struct stat there;
    if (lstat(path, &there) == 0 &&
        !S_ISREG(there.st_mode)) { /* not replaced: /dev/stdout is a link */
        *status = vly_fail(VLY_EINVAL, "cannot write %s: it is there and is %s", path,
                           S_ISLNK(there.st_mode) ? "a link" : "not a file");
        return -1;
    }
    unlink(temporary); /* of an earlier process of this number, or somebody's link */
    int fd = open(temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        *status = failed("create", temporary);
    else
        change_unfinished(NULL, temporary);
    return fd;
}

vly_status vly_file_write(int fd, const void *data, size_t bytes, const char *path) {
    const char *p = data;
    while (bytes) {
        ssize_t n = write(fd, p, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return failed("write", path);
        p += n, bytes -= (size_t)n;
    }
    return VLY_OK;
}

/* The rename itself must reach the disk. */
static vly_status sync_folder(const char *path) {
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == folder) slash++;
    if (slash) *slash = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return failed("open the folder of", path);
    int bad = fsync(fd) && errno != EINVAL; /* some file systems cannot sync a folder */
    vly_status status = bad ? failed("sync the folder of", path) : VLY_OK;
    close(fd);
    return status;
}

void vly_file_abort(int fd, const char *temporary) {
    if (fd >= 0) close(fd);
    unlink(temporary);
    change_unfinished(temporary, NULL);
}

vly_status vly_file_commit(int fd, const char *temporary, const char *path) {
    vly_status status = fsync(fd) ? failed("sync", temporary) : VLY_OK;
    if (close(fd) && status == VLY_OK) status = failed("close", temporary);
    if (status == VLY_OK && rename(temporary, path)) status = failed("replace", path);
    if (status != VLY_OK) unlink(temporary);
    change_unfinished(temporary, NULL);
    VLY_TRY(status);
    return sync_folder(path);
}

vly_status vly_file_replace(const char *path, const void *data, size_t bytes) {
    char temporary[4096];
    vly_status status = VLY_OK;
    int fd = vly_file_begin(path, temporary, sizeof temporary, &status);
    if (fd < 0) return status;
    status = vly_file_write(fd, data, bytes, temporary);
    if (status != VLY_OK) {
        vly_file_abort(fd, temporary);
        return status;
    }
    return vly_file_commit(fd, temporary, path);
}

vly_status vly_file_make_folder(const char *path) {
    char part[4096];
    struct stat info;
    if (!*path || strlen(path) >= sizeof part)
        return vly_fail(VLY_EINVAL, "'%.100s' is not a folder's name", path);
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1;; p++) {
        if (*p && *p != '/') continue;
        char saved = *p;
        *p = '\0';
        if (mkdir(part, 0755) && errno != EEXIST) return failed("create the folder", part);
        if (!saved) break;
        *p = saved;
    }
    if (stat(path, &info) || !S_ISDIR(info.st_mode))
        return vly_fail(VLY_EINVAL, "%s is not a folder", path);
    return VLY_OK;
}

vly_status vly_file_make_own_folder(const char *path) {
    struct stat info;
    VLY_TRY(vly_file_make_folder(path));
    if (lstat(path, &info) || !S_ISDIR(info.st_mode))
        return vly_fail(VLY_EINVAL,
                        "%s is a link: a run is written in its own folder alone; move there what "
                        "the link names",
                        path);
    return VLY_OK;
}
