/* In the build for ThreadSanitizer alone. libuv closes descriptors by syscall(SYS_close), which the
 * sanitizer does not watch: a number that another thread gets next would look like a race. Here that
 * call is close(), which it watches. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

long syscall(long number, ...) {
    static long (*next)(long number, ...);
    long a[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_close) return close((int)a[0]);
    long (*call)(long, ...) = __atomic_load_n(&next, __ATOMIC_RELAXED);
    if (!call) {
        *(void **)&call = dlsym(RTLD_NEXT, "syscall");
        __atomic_store_n(&next, call, __ATOMIC_RELAXED);
    }
    return call(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
