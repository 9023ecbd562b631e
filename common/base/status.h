/* status.h -- the one error type, and the words that go with it.
 *
 *   return vly_fail(VLY_EINVAL, "--ppo.lr: %g is outside [0, 1]", lr);
 *   ...
 *   if (status != VLY_OK) fprintf(stderr, "volley: %s\n", vly_error_text());
 *
 * 0 is success, errors are negative. The text is kept per thread: it says what
 * happened, to what, and what to do. A library function never exits and never prints.
 */
#ifndef VLY_COMMON_BASE_STATUS_H
#define VLY_COMMON_BASE_STATUS_H
#ifdef __cplusplus
extern "C" {
#endif

#define VLY_STATUS_MAP(XX)                      \
    XX(-1, EINVAL, "invalid argument")          \
    XX(-2, ENOMEM, "out of memory")             \
    XX(-3, ENODEV, "no such device")            \
    XX(-4, ECUDA, "a CUDA call failed")         \
    XX(-5, EIO, "input or output failed")       \
    XX(-6, ENOTFOUND, "not found")              \
    XX(-7, ECORRUPT, "the data is damaged")     \
    XX(-8, EVERSION, "made by another version") \
    XX(-9, ENOSPACE, "no space left")           \
    XX(-10, ENUMERIC, "not a finite number")    \
    XX(-11, ETIMEOUT, "took too long")          \
    XX(-12, EPEER, "a peer failed")             \
    XX(-13, ECANCELED, "interrupted")           \
    XX(-14, EUNSUPPORTED, "not supported here")

typedef enum {
    VLY_OK = 0,
#define XX(value, name, text) VLY_##name = value,
    VLY_STATUS_MAP(XX)
#undef XX
} vly_status;

const char *vly_status_str(vly_status status);

/* Remembers the message for this thread and returns `status`. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
vly_status
vly_fail(vly_status status, const char *format, ...);
/* The last message of this thread; "" when there was none. Valid until the next vly_fail. */
const char *vly_error_text(void);
void vly_error_clear(void);

/* A plugin has its own copy of this file: the program lends it the buffer (of the calling thread,
 * VLY_ERROR_BYTES long) so that a message written there is read here. */
enum { VLY_ERROR_BYTES = 1024 };
typedef char *(*vly_error_buffer_fn)(void);
vly_error_buffer_fn vly_error_buffer(void);
void vly_error_use(vly_error_buffer_fn theirs);

/* Returns the error to the caller; never exits. */
#define VLY_TRY(expr)                            \
    do {                                         \
        vly_status vly_try_ = (expr);            \
        if (vly_try_ != VLY_OK) return vly_try_; \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
