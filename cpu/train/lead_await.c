/* A leader waits for descriptors: each stays on the loop from its first wait until it is closed. */
#include <stdlib.h>
#include "cpu/train/lead.h"
#include "cpu/train/train_impl.h"

typedef struct train_descriptor train_descriptor;
struct train_descriptor {
    uv_poll_t poll;
    train_descriptor *next;
    vly_train *t;
    int fd, events; /* asked for on the loop; 0: none */
    bool awaited, ready;
};

static void free_descriptor(uv_handle_t *handle) {
    train_descriptor *d = handle->data;
    d->t->handles--;
    free(d);
}

/* Errors are left to the caller, whose own call returns them. */
static void on_ready(uv_poll_t *poll, int status, int events) {
    train_descriptor *d = poll->data;
    (void)events;
    d->ready = true;
    if (d->awaited && status == 0) return;
    uv_poll_stop(poll); /* nobody reads it now */
    d->events = 0;
}

static train_descriptor *find_or_add(vly_train *t, int fd) {
    for (train_descriptor *d = t->descriptors; d; d = d->next)
        if (d->fd == fd) return d;
    train_descriptor *d = calloc(1, sizeof *d);
    if (!d || uv_poll_init(t->loop, &d->poll, fd)) {
        free(d);
        return NULL;
    }
    *d = (train_descriptor){.poll = d->poll, .next = t->descriptors, .t = t, .fd = fd};
    d->poll.data = d;
    t->handles++;
    return t->descriptors = d;
}

static void forget_descriptor(vly_train *t, int fd) {
    for (train_descriptor **link = &t->descriptors; *link; link = &(*link)->next) {
        train_descriptor *d = *link;
        if (d->fd != fd) continue;
        *link = d->next;
        uv_close((uv_handle_t *)&d->poll, free_descriptor);
        return;
    }
}

void vly_train_forget_descriptors(vly_train *t) {
    while (t->descriptors) forget_descriptor(t, t->descriptors->fd);
}

static bool await_descriptor(vly_train *t, train_descriptor *d, int events, int ms) {
    if (d->events != events && uv_poll_start(&d->poll, events, on_ready) == 0) d->events = events;
    d->awaited = true, d->ready = false;
    vly_train_begin_limit(t, ms);
    while (!d->ready && !t->limit_over && d->events) uv_run(t->loop, UV_RUN_ONCE);
    uv_timer_stop(&t->limit);
    d->awaited = false;
    return d->ready;
}

/* The whole time: a turn of the loop ends at once where a handle is closed. */
static void await_time(vly_train *t, int ms) {
    vly_train_begin_limit(t, ms);
    while (!t->limit_over) uv_run(t->loop, UV_RUN_ONCE);
}

bool vly_lead_await(void *train, int fd, bool write, int ms) {
    vly_train *t = train;
    if (fd < 0) return await_time(t, ms), false;
    if (ms < 0) return forget_descriptor(t, fd), true;
    train_descriptor *d = find_or_add(t, fd);
    return d ? await_descriptor(t, d, write ? UV_WRITABLE : UV_READABLE, ms) : true;
}
