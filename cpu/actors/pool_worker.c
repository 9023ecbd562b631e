#include "cpu/actors/pool_impl.h"
#include <errno.h>
#include <signal.h>

static int take_work(vly_pool *p, pool_worker *w) {
    const int id = ring_pop(p->queue, p->chunk_count, &p->queue_head, &p->queue_count);
    p->chunks[id].state = CHUNK_RUNNING;
    p->running++;
    atomic_store_explicit(&w->chunk, id, memory_order_relaxed);
    return id;
}

static void wake_loop(vly_pool *p) {
    p->armed = 0, p->armed_for_group = false;
    if (p->handles) uv_async_send(&p->handles->news);
}

static void complete(vly_pool *p, int id) {
    pool_chunk *c = &p->chunks[id];
    p->running--;
    p->rows += (int64_t)c->n * p->players;
    p->restarts += c->restarts;
    if (c->hung) c->hung = false, p->hung--;
    c->state = CHUNK_FINISHED;
    bool news = !c->by_group || --p->groups[c->group].left == 0;
    if (!c->by_group)
        p->finished_count = ring_push(p->finished, p->chunk_count, p->finished_head,
                                      p->finished_count, id);
    if (p->stop) pthread_cond_signal(&p->done);
    if (!news) return;
    const unsigned completed = atomic_load_explicit(&p->completed, memory_order_relaxed);
    atomic_store_explicit(&p->completed, completed + 1, memory_order_release);
    news = p->armed_for_group ? vly_pool_oldest_is_done(p)
                              : p->armed > 0 && p->finished_count >= p->armed;
    if (news || p->callbacks) wake_loop(p);
}

void vly_pool_work_once(vly_pool *p, pool_worker *w) {
    const int id = take_work(p, w);
    pthread_mutex_unlock(&p->lock);
    const int64_t start = vly_now_ns();
    atomic_store_explicit(&w->since_ns, start, memory_order_release);
    vly_pool_step_chunk(p, &p->chunks[id]);
    atomic_store_explicit(&w->since_ns, 0, memory_order_release);
    const int64_t spent = vly_now_ns() - start;
    pthread_mutex_lock(&p->lock);
    w->busy_ns += spent;
    complete(p, id);
}

static void *worker_main(void *arg) {
    pool_worker *w = arg;
    vly_pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    while (!p->stop && !w->stuck) {
        if (p->queue_count > 0) {
            vly_pool_work_once(p, w);
        } else {
            p->sleeping++;
            pthread_cond_wait(&p->work, &p->lock);
            p->sleeping--;
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int vly_pool_start_thread(pthread_t *thread, void *(*main)(void *), void *arg) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    sigset_t all, before;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(thread, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int vly_pool_start_worker(vly_pool *p) {
    pool_worker *w = &p->workers[p->slots];
    if (p->slots == p->options.workers + 1 + POOL_SPARE_WORKERS) return EAGAIN;
    w->pool = p;
    const int error = vly_pool_start_thread(&w->thread, worker_main, w);
    if (error) return error;
    w->started = true;
    p->slots++;
    p->threads++;
    return 0;
}

/* ---- the watchdog ---- */

/* The first actor of the chunk that has a row not written: environments go through it in order.
 * Races with the worker that writes; a stale byte names a neighbour. */
#if defined(__clang__) || defined(__GNUC__)
__attribute__((no_sanitize("thread")))
#endif
static int
current_actor(const pool_chunk *c, int players) {
    const volatile uint8_t *flags = c->out.flags;
    for (int i = 0; i < c->n * players; i++)
        if (flags[i] == FLAGS_UNWRITTEN) return i / players;
    return c->n - 1;
}

static void pass_pool_warning(const vly_pool *p, const char *text) {
    if (p->options.on_warning) p->options.on_warning(p->options.arg, text);
}

static void describe_last(const vly_pool *p, const pool_chunk *c, int i, char *text, size_t bytes) {
    char action[48];
    vly_action_text(&p->env->action, vly_actions_at(c->action, (size_t)(i * p->players)), action,
                    sizeof action);
    snprintf(text, bytes, "last action %s", action);
}

/* Under the lock. True, with a line for a person, when the worker has just missed its deadline. */
static bool check_deadline(vly_pool *p, pool_worker *w, int64_t now, char *text, size_t bytes) {
    const int64_t since = atomic_load_explicit(&w->since_ns, memory_order_acquire);
    if (!since || w->warned_job == since) return false;
    const int id = atomic_load_explicit(&w->chunk, memory_order_relaxed);
    pool_chunk *c = &p->chunks[id];
    const int i = current_actor(c, p->players);
    if (w->seen_job != since || w->seen_actor != c->first + i) { /* it has moved on */
        w->seen_ns = w->seen_job != since && i == 0 ? since : now;
        w->seen_job = since;
        w->seen_actor = c->first + i;
    }
    if (now - w->seen_ns < p->deadline_ns) return false;
    w->warned_job = since;
    c->hung = true;
    p->hung++;
    p->hung_total++;
    if (p->armed > 0 || p->armed_for_group) wake_loop(p); /* fewer can be expected */
    char action[64] = "being reset";
    if (c->action.data) describe_last(p, c, i, action, sizeof action);
    const char *help = "the other actors go on";
    if (c->by_group) help = "its group waits for it";
    if (w->started && !w->stuck) {
        w->stuck = true;
        p->threads--;
        if (vly_pool_start_worker(p)) { /* it goes on with what waits once it comes back */
            help = "no thread could be started in its worker's place";
            w->stuck = false;
            p->threads++;
        }
    }
    snprintf(text, bytes, "environment %s: actor %d has not come back for %.1f s (%s); %s",
             p->env->name, vly_pool_name_of(p, c->first + i), (double)(now - w->seen_ns) * 1e-9,
             action, help);
    return true;
}

void *vly_pool_watchdog(void *arg) {
    vly_pool *p = arg;
    char text[256];
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        vly_pool_wait_until(&p->watch, &p->lock, vly_now_ns() + p->deadline_ns / 4 + 1);
        for (int i = 0; i < p->slots && !p->stop; i++) {
            if (!check_deadline(p, &p->workers[i], vly_now_ns(), text, sizeof text)) continue;
            pthread_mutex_unlock(&p->lock);
            pass_pool_warning(p, text);
            pthread_mutex_lock(&p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}
