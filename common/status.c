#include "common/status.h"
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char text[1024];

const char *vly_status_str(vly_status status) {
    switch (status) {
    case VLY_OK: return "ok";
#define XX(value, name, text)                                                                      \
    case VLY_##name: return text;
        VLY_STATUS_MAP(XX)
#undef XX
    }
    return "unknown status";
}

vly_status vly_fail(vly_status status, const char *format, ...) {
    char fresh[sizeof text]; /* the arguments may quote the old text */
    va_list args;
    va_start(args, format);
    vsnprintf(fresh, sizeof fresh, format, args);
    va_end(args);
    snprintf(text, sizeof text, "%s", fresh);
    return status;
}

const char *vly_error_text(void) { return text; }

void vly_error_clear(void) { text[0] = '\0'; }
