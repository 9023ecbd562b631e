/* http_parse.h -- the head of one HTTP request, from untrusted bytes. Pure: no I/O,
 * no allocation.
 *
 *   int used = vly_http_parse(bytes, n, &request);
 *   used > 0: a request, `used` bytes long
 *   used = 0: incomplete, read on
 *   used < 0: answer with status -used and close
 *
 * GET and HEAD alone, without bodies: all else is refused, so that no two readers
 * can disagree about where a request ends. Lines end with CR LF, header lines are not folded, Host
 * is there once.
 */
#ifndef VLY_CPU_HTTP_PARSE_H
#define VLY_CPU_HTTP_PARSE_H
#include <stdbool.h>
#include <stddef.h>

enum {
    VLY_HTTP_HEAD_BYTES = 8192,
    VLY_HTTP_HEADERS = 64,
    VLY_HTTP_PATH = 512,
    VLY_HTTP_QUERY = 2048,
    VLY_HTTP_VALUE = 512
};

typedef struct {
    bool head;                  /* HEAD instead of GET */
    bool keep;                  /* the connection may stay open */
    char path[VLY_HTTP_PATH];   /* percent-decoded: no NUL, no control characters */
    char query[VLY_HTTP_QUERY]; /* as it came, without the question mark */
    char host[VLY_HTTP_VALUE], origin[VLY_HTTP_VALUE], authorization[VLY_HTTP_VALUE],
        cookie[VLY_HTTP_VALUE]; /* "" when absent */
} vly_http_request;

int vly_http_parse(const char *bytes, size_t n, vly_http_request *out);
const char *vly_http_reason(int status);
/* One value of a query, percent-decoded ('+' is a space); false when it is absent, malformed or
 * longer. */
bool vly_http_query(const char *query, const char *name, char *value, size_t bytes);
#endif
