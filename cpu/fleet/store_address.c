#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/base/file.h"
#include "cpu/fleet/store_impl.h"

static vly_status copy_part(char *to, size_t room, const char *from, size_t length,
                            const char *what) {
    if (length >= room)
        return vly_fail(VLY_EINVAL, "store address: the %s is longer than %zu characters", what,
                        room - 1);
    memcpy(to, from, length);
    to[length] = '\0';
    return VLY_OK;
}

static vly_status parse_number(const char *text, int most, const char *what, int *out) {
    char *end;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (end == text || *end != '\0' || errno || value < 0 || value > most)
        return vly_fail(VLY_EINVAL, "store address: '%s' is not a %s (0 to %d)", text, what, most);
    *out = (int)value;
    return VLY_OK;
}

static vly_status parse_credentials(vly_store_address *at, const char *from, size_t length) {
    const char *colon = memchr(from, ':', length);
    const size_t user = colon ? (size_t)(colon - from) : 0;
    const char *secret = colon ? colon + 1 : from;
    VLY_TRY(copy_part(at->user, sizeof at->user, from, user, "user name"));
    return copy_part(at->password, sizeof at->password, secret, length - (size_t)(secret - from),
                     "password");
}

static vly_status parse_url(vly_store_address *at, const char *url) {
    *at = (vly_store_address){.port = 6379};
    if (strncmp(url, "unix://", 7) == 0) {
        const char *path = url + 7, *query = strchr(path, '?');
        VLY_TRY(copy_part(at->unix_path, sizeof at->unix_path, path,
                          query ? (size_t)(query - path) : strlen(path), "socket path"));
        return query ? parse_number(query + 1, 65535, "database number", &at->db) : VLY_OK;
    }
    char shown[300];
    vly_store_shown(url, shown, sizeof shown);
    if (strncmp(url, "rediss://", 9) == 0)
        return vly_fail(
            VLY_EUNSUPPORTED,
            "store %s: TLS is not built in; put stunnel in front and give its redis:// address",
            shown);
    if (strncmp(url, "redis://", 8) != 0)
        return vly_fail(VLY_EINVAL,
                        "store '%s': give redis://[user:password@]host[:port][/db] or unix:///path",
                        shown);
    const char *rest = url + 8, *slash = strchr(rest, '/'),
               *end = slash ? slash : rest + strlen(rest);
    const char *at_sign = NULL;
    for (const char *c = rest; c < end; c++)
        if (*c == '@') at_sign = c;
    if (at_sign) {
        VLY_TRY(parse_credentials(at, rest, (size_t)(at_sign - rest)));
        rest = at_sign + 1;
    }
    char host[256];
    VLY_TRY(copy_part(host, sizeof host, rest, (size_t)(end - rest), "host"));
    char *colon = host[0] == '[' ? strchr(host, ']') : strrchr(host, ':');
    if (colon && *colon == ']') *colon++ = '\0';
    if (colon && *colon == ':') {
        *colon = '\0';
        VLY_TRY(parse_number(colon + 1, 65535, "port", &at->port));
    }
    const char *name = host[0] == '[' ? host + 1 : host;
    VLY_TRY(copy_part(at->host, sizeof at->host, name[0] ? name : "127.0.0.1",
                      strlen(name[0] ? name : "127.0.0.1"), "host"));
    return slash && slash[1] ? parse_number(slash + 1, 65535, "database number", &at->db) : VLY_OK;
}

const char *vly_store_named(const char *option) {
    const char *named = getenv("VOLLEY_STORE");
    return option[0] || !named ? option : named;
}

/* A password from the environment does not appear in process lists, configurations or logs. */
static vly_status find_password(vly_store_address *at) {
    const char *given = getenv("VOLLEY_STORE_PASSWORD"),
               *path = getenv("VOLLEY_STORE_PASSWORD_FILE");
    if (at->password[0]) return VLY_OK;
    if (given && given[0])
        return copy_part(at->password, sizeof at->password, given, strlen(given),
                         "password in VOLLEY_STORE_PASSWORD");
    if (!path || !path[0]) return VLY_OK;
    vly_status status;
    FILE *file = vly_file_open_input(path, &status);
    if (!file)
        return vly_fail(VLY_EINVAL, "store: VOLLEY_STORE_PASSWORD_FILE: %s", vly_error_text());
    char line[300] = "";
    const bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    if (!read || !line[0])
        return vly_fail(VLY_EINVAL, "store: %s holds no password in its first line", path);
    return copy_part(at->password, sizeof at->password, line, strlen(line),
                     "password in VOLLEY_STORE_PASSWORD_FILE");
}

vly_status vly_store_parse_address(vly_store_address *at, const char *url) {
    VLY_TRY(parse_url(at, url));
    return find_password(at);
}

vly_status vly_store_check(const char *url) {
    vly_store_address at;
    return vly_store_parse_address(&at, url);
}
