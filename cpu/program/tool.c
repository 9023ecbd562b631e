#define _GNU_SOURCE /* memfd_create, pipe2 */
#include "cpu/program/tool.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/base/file.h"
#include "common/record/checkpoint.h"
#include "cpu/program/output.h"

extern char **environ;

struct vly_tool {
    const char *name;
    pid_t pid;
    FILE *input;
    int output, complaints; /* complaints: the tool's standard error, in memory; -1: none */
    char path[VLY_PATH], temporary[VLY_PATH + 32];
};

bool vly_path_ends_with(const char *path, const char *end) {
    const size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

bool vly_tool_is_there(const char *program) {
    const char *p = getenv("PATH");
    char path[VLY_PATH];
    for (size_t n; p && *p; p += n + (p[n] == ':')) {
        n = strcspn(p, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)n, p, program);
        if (n && access(path, X_OK) == 0) return true;
    }
    return false;
}

/* ---- starting ---- */

static int spawn_tool(vly_tool *t, const char *const argv[], int input) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t how;
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, t->output >= 0 ? t->output : t->complaints,
                                     STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, t->complaints, STDERR_FILENO);
    posix_spawnattr_init(&how);
    posix_spawnattr_setsigdefault(&how, &usual);
    posix_spawnattr_setpgroup(&how, 0); /* Ctrl-C is for this program, which then ends the input */
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    const int error = posix_spawnp(&t->pid, argv[0], &files, &how, (char *const *)(uintptr_t)argv,
                                   environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

static vly_status start_tool(vly_tool *t, const char *const argv[]) {
    int ends[2];
    t->complaints = memfd_create("complaints", MFD_CLOEXEC);
    if (t->complaints < 0 || pipe2(ends, O_CLOEXEC))
        return vly_fail(VLY_EIO, "cannot start %s: %s", t->name, strerror(errno));
    t->input = fdopen(ends[1], "w");
    if (!t->input) close(ends[1]);
    const int error = t->input ? spawn_tool(t, argv, ends[0]) : ENOMEM;
    close(ends[0]);
    if (error == ENOENT) return vly_fail(VLY_ENOTFOUND, "%s is not installed", t->name);
    return error ? vly_fail(VLY_EIO, "cannot start %s: %s", t->name, strerror(error)) : VLY_OK;
}

static void free_tool(vly_tool *t) {
    if (t->input) fclose(t->input);
    if (t->complaints >= 0) close(t->complaints);
    free(t);
}

vly_status vly_tool_open(vly_tool **out, const char *const argv[], const char *path) {
    vly_status status = VLY_OK;
    if (path) VLY_TRY(vly_output_check(path));
    vly_tool *t = calloc(1, sizeof *t);
    if (!t) return vly_fail(VLY_ENOMEM, "no memory to start %s", argv[0]);
    t->name = argv[0];
    t->output = t->complaints = -1;
    if (path) {
        snprintf(t->path, sizeof t->path, "%s", path);
        t->output = vly_file_begin(path, t->temporary, sizeof t->temporary, &status);
    }
    if (status == VLY_OK) status = start_tool(t, argv);
    if (status == VLY_OK) return *out = t, VLY_OK;
    if (t->output >= 0) vly_file_abort(t->output, t->temporary);
    free_tool(t);
    return status;
}

FILE *vly_tool_input(vly_tool *t) {
    return t->input;
}

vly_status vly_tool_write(vly_tool *t, const void *data, size_t bytes) {
    if (fwrite(data, 1, bytes, t->input) == bytes) return VLY_OK;
    return vly_fail(VLY_EPEER, "%s takes no more pictures", t->name);
}

/* ---- whether the file is whole ---- */

static bool has_bytes(int fd, off_t at, const char *bytes, size_t n) {
    char there[16];
    return at >= 0 && pread(fd, there, n, at) == (ssize_t)n && !memcmp(there, bytes, n);
}

static bool png_is_whole(int fd, off_t size) {
    return has_bytes(fd, 0, "\x89PNG\r\n\x1a\n", 8) &&
           has_bytes(fd, size - 8, "IEND\xae\x42\x60\x82", 8);
}

static bool gif_is_whole(int fd, off_t size) {
    return has_bytes(fd, 0, "GIF8", 4) && has_bytes(fd, size - 1, ";", 1);
}

static bool svg_is_whole(int fd, off_t size) {
    while (size > 0 && has_bytes(fd, size - 1, "\n", 1)) size--;
    return has_bytes(fd, 0, "<?xml", 5) && has_bytes(fd, size - 6, "</svg>", 6);
}

/* ISO 14496-12: boxes of u32 size and four letters, size 1: a u64 size follows. */
static bool mp4_is_whole(int fd, off_t size) {
    bool index = false;
    off_t at = 0;
    while (at < size) {
        uint8_t head[16];
        uint64_t box = 0;
        if (pread(fd, head, sizeof head, at) < 8) return false;
        for (int i = 0; i < 4; i++) box = box << 8 | head[i];
        if (box == 1) /* replaced by the 64 bits that follow */
            for (int i = 8; i < 16; i++) box = box << 8 | head[i];
        if (box < 8 || box > (uint64_t)(size - at)) return false;
        index |= !memcmp(head + 4, "moov", 4);
        at += (off_t)box;
    }
    return index && has_bytes(fd, 4, "ftyp", 4);
}

static bool file_is_whole(const vly_tool *t) {
    static const struct {
        const char *end;
        bool (*is_whole)(int fd, off_t size);
    } formats[] = {{".png", png_is_whole},
                   {".svg", svg_is_whole},
                   {".gif", gif_is_whole},
                   {".mp4", mp4_is_whole}};
    struct stat info;
    if (fstat(t->output, &info)) return false;
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (vly_path_ends_with(t->path, formats[i].end))
            return formats[i].is_whole(t->output, info.st_size);
    return info.st_size > 0;
}

/* ---- ending ---- */

/* The last line that the tool wrote to its standard error. */
static const char *last_complaint(const vly_tool *t, char *text, size_t bytes) {
    const off_t size = lseek(t->complaints, 0, SEEK_END);
    const off_t from = size > (off_t)bytes - 1 ? size - (off_t)bytes + 1 : 0;
    ssize_t n = pread(t->complaints, text, bytes - 1, from);
    while (n > 0 && text[n - 1] == '\n') n--;
    text[n > 0 ? n : 0] = '\0';
    return strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
}

static vly_status tool_failed(const vly_tool *t) {
    char text[400];
    const char *why = last_complaint(t, text, sizeof text);
    return vly_fail(VLY_EIO, "%s could not %s%s%s%s", t->name, t->output >= 0 ? "make " : "go on",
                    t->path, *why ? ": " : "", why);
}

vly_status vly_tool_close(vly_tool *t, vly_status status) {
    int how = -1;
    fclose(t->input); /* what cannot be written is seen in what the tool makes */
    t->input = NULL;
    while (waitpid(t->pid, &how, 0) < 0 && errno == EINTR) {
    }
    if (status == VLY_EPEER && t->output < 0 && how == 0)
        status = VLY_OK; /* its window was closed */
    else if ((status == VLY_OK || status == VLY_EPEER) &&
             (how != 0 || (t->output >= 0 && (status != VLY_OK || !file_is_whole(t)))))
        status = tool_failed(t);
    if (t->output >= 0) {
        if (status == VLY_OK)
            status = vly_file_commit(t->output, t->temporary, t->path);
        else
            vly_file_abort(t->output, t->temporary);
    }
    free_tool(t);
    return status;
}
