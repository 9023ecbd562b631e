#include "cpu/run/startup.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct vly_startup {
    void (*say)(void *arg, const char *text);
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    const char *words, *said; /* words: of the phase; NULL between phases */
    bool ended;
};

static void say_phase(vly_startup *u) {
    char text[160];
    if (!u->words || u->words == u->said) return;
    u->said = u->words;
    snprintf(text, sizeof text, "starting: %s", u->words);
    u->say(u->arg, text);
}

/* Once a second the phase that has not been said. */
static void *watch_startup(void *arg) {
    vly_startup *u = arg;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    pthread_mutex_lock(&u->lock);
    for (until.tv_sec++; !u->ended; until.tv_sec++) {
        while (!u->ended && pthread_cond_timedwait(&u->changed, &u->lock, &until) == 0) {
        }
        if (!u->ended) say_phase(u);
    }
    pthread_mutex_unlock(&u->lock);
    return NULL;
}

vly_startup *vly_startup_begin(void (*say)(void *arg, const char *text), void *arg) {
    pthread_condattr_t clock;
    vly_startup *u = say ? calloc(1, sizeof *u) : NULL;
    if (!u) return NULL;
    u->say = say, u->arg = arg;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&u->lock, NULL);
    pthread_cond_init(&u->changed, &clock);
    pthread_condattr_destroy(&clock);
    if (pthread_create(&u->thread, NULL, watch_startup, u) == 0) return u;
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->lock);
    free(u);
    return NULL;
}

void vly_startup_phase(vly_startup *u, const char *words) {
    if (!u) return;
    pthread_mutex_lock(&u->lock);
    u->words = words;
    pthread_mutex_unlock(&u->lock);
}

void vly_startup_end(vly_startup *u) {
    if (!u) return;
    pthread_mutex_lock(&u->lock);
    u->ended = true;
    pthread_cond_signal(&u->changed);
    pthread_mutex_unlock(&u->lock);
    pthread_join(u->thread, NULL);
    pthread_cond_destroy(&u->changed);
    pthread_mutex_destroy(&u->lock);
    free(u);
}
