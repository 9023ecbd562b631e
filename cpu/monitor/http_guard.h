/* http_guard.h -- which requests are allowed: the host names a server answers to, the pages that may call it, the
 * token.
 *
 *   vly_http_guard g;
 *   // bind, port, token, more host names
 *   VLY_TRY(vly_http_guard_init(&g, "127.0.0.1", 8265, "", ""));
 *   int status = vly_http_guard_check(&g, &request);               // 0, or 401, 403
 *
 * A browser that was lured to evil.example can be made to send requests to 127.0.0.1, also under a
 * name that evil.example's DNS points there: such requests carry a Host or an Origin that is not
 * ours. Numeric addresses cannot be rebound; host names must be listed explicitly. Bound to more than
 * loopback, a token is required: as `Authorization: Bearer TOKEN`, or once as ?token=TOKEN, which
 * becomes a cookie.
 */
#ifndef VLY_CPU_HTTP_GUARD_H
#define VLY_CPU_HTTP_GUARD_H
#include "common/base/status.h"
#include "cpu/monitor/http_parse.h"

typedef struct {
    bool loopback; /* bound to it alone */
    int port;
    char token[128], hosts[256], own[256];
    char cookie[32]; /* its name: cookies do not know ports */
} vly_http_guard;

/* VLY_EINVAL: bound elsewhere without a token of at least 16 characters, or something is too long.
 */
vly_status vly_http_guard_init(vly_http_guard *g, const char *bind, int port, const char *token,
                               const char *hosts);
int vly_http_guard_check(const vly_http_guard *g, const vly_http_request *r);
/* ?token= is there and right: answer with a redirect that sets the cookie. */
bool vly_http_guard_login(const vly_http_guard *g, const vly_http_request *r);
#endif
