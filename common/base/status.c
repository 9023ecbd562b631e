#include "common/base/status.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "common/base/text.h"

static _Thread_local char own_text[VLY_ERROR_BYTES];

static char *own_buffer(void) {
    return own_text;
}
static vly_error_buffer_fn buffer = own_buffer; /* a plugin's: the program's, set before its first
                                                   call */

const char *vly_status_str(vly_status status) {
    switch (status) {
    case VLY_OK: return "ok";
#define XX(value, name, text) \
    case VLY_##name: return text;
        VLY_STATUS_MAP(XX)
#undef XX
    }
    return "unknown status";
}

vly_status vly_fail(vly_status status, const char *format, ...) {
    char fresh[VLY_ERROR_BYTES]; /* the arguments may quote the old text */
    va_list args;
    va_start(args, format);
    vsnprintf(fresh, sizeof fresh, format, args);
    va_end(args);
    vly_text_plain(fresh, strlen(fresh), 0); /* names in it come from files */
    snprintf(buffer(), VLY_ERROR_BYTES, "%s", fresh);
    return status;
}

const char *vly_error_text(void) {
    return buffer();
}

void vly_error_clear(void) {
    buffer()[0] = '\0';
}

vly_error_buffer_fn vly_error_buffer(void) {
    return buffer;
}

void vly_error_use(vly_error_buffer_fn theirs) {
    buffer = theirs;
}
