/* The configuration file: YAML of one level of sections, read with libyaml's events. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>
#include "common/config/config.h"
#include "common/base/file.h"

enum { FILE_LIMIT = 1 << 20 };

typedef struct {
    yaml_parser_t parser;
    const char *name, *text;
    size_t bytes;
    vly_assignments *out;
    int first; /* assignments of this file begin here */
} reader;

/* file, line N: words */
#define BAD(r, event, ...) bad_at(r, (event)->start_mark.line + 1, __VA_ARGS__)
__attribute__((format(printf, 3, 4))) static vly_status bad_at(const reader *r, size_t line,
                                                               const char *format, ...) {
    char words[512];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return vly_fail(VLY_EINVAL, "%s, line %zu: %s", r->name, line, words);
}

/* The scanner reports a line, the byte reader only how many bytes it has read. */
static size_t problem_line(const reader *r) {
    if (r->parser.error != YAML_READER_ERROR) return r->parser.problem_mark.line + 1;
    size_t line = 1;
    for (size_t i = 0; i < r->parser.problem_offset && i < r->bytes; i++)
        line += r->text[i] == '\n';
    return line;
}

static vly_status next(reader *r, yaml_event_t *event) {
    if (yaml_parser_parse(&r->parser, event)) return VLY_OK;
    memset(event, 0, sizeof *event);
    return bad_at(r, problem_line(r), "not YAML: %s%s%s",
                  r->parser.context ? r->parser.context : "", r->parser.context ? ", " : "",
                  r->parser.problem ? r->parser.problem : "out of memory");
}

/* What to do instead of an alias or an anchor; NULL: the event is neither. */
static const char *alias_words(const yaml_event_t *event) {
    if (event->type == YAML_ALIAS_EVENT) return "aliases (*name) are not read: write the value out";
    const bool anchor = event->type == YAML_SCALAR_EVENT ? event->data.scalar.anchor
                        : event->type == YAML_SEQUENCE_START_EVENT
                            ? event->data.sequence_start.anchor
                        : event->type == YAML_MAPPING_START_EVENT ? event->data.mapping_start.anchor
                                                                  : NULL;
    return anchor ? "anchors (&name) are not read: leave the name out" : NULL;
}

static const char *scalar(const yaml_event_t *event) {
    return (const char *)event->data.scalar.value;
}

static bool yaml_is_plain(const yaml_event_t *event) {
    return event->type == YAML_SCALAR_EVENT && !event->data.scalar.anchor &&
           strlen(scalar(event)) == event->data.scalar.length;
}

/* A list becomes "1,2,3"; a scalar is taken as it is. */
static vly_status read_value(reader *r, yaml_event_t *event, char *value, size_t bytes) {
    value[0] = '\0';
    if (yaml_is_plain(event)) {
        if ((size_t)snprintf(value, bytes, "%s", scalar(event)) >= bytes)
            return BAD(r, event, "the value is too long");
        return VLY_OK;
    }
    if (alias_words(event)) return BAD(r, event, "%s", alias_words(event));
    if (event->type != YAML_SEQUENCE_START_EVENT) return BAD(r, event, "expected a value");
    for (size_t used = 0;;) {
        yaml_event_t item;
        VLY_TRY(next(r, &item));
        vly_status status = VLY_OK;
        bool end = item.type == YAML_SEQUENCE_END_EVENT;
        if (!end && !yaml_is_plain(&item))
            status = BAD(r, &item, "%s",
                         alias_words(&item) ? alias_words(&item) : "expected a number in the list");
        else if (!end) {
            used += (size_t)snprintf(value + used, bytes - used, "%s%s", used ? "," : "",
                                     scalar(&item));
            if (used >= bytes) status = BAD(r, &item, "the list is too long");
        }
        yaml_event_delete(&item);
        if (end || status != VLY_OK) return status;
    }
}

static vly_status yaml_add(reader *r, const yaml_event_t *event, const char *key,
                           const char *value) {
    char where[128], full[64];
    size_t line = event->start_mark.line + 1;
    if (!strcmp(key, "format")) {
        char *end;
        long version = strtol(value, &end, 10);
        if (end == value || *end || version < 1)
            return BAD(r, event, "format: '%.40s' is not a version", value);
        if (version > VLY_CONFIG_VERSION)
            return vly_fail(
                VLY_EVERSION,
                "%s has format %ld, this program reads up to %d: it was written by a newer version",
                r->name, version, VLY_CONFIG_VERSION);
        return VLY_OK;
    }
    snprintf(where, sizeof where, "%.70s, line %zu", r->name, line);
    const vly_option *o = vly_config_find(key);
    if (o) {
        snprintf(full, sizeof full, "%s.%s", o->section, o->key);
        for (int i = r->first; i < r->out->n; i++)
            if (!strcmp(r->out->v[i].key, full)) return BAD(r, event, "%s is given twice", key);
        size_t used = strlen(where);
        snprintf(where + used, sizeof where - used, ": %.40s", full);
    }
    return vly_assignments_add(r->out, key, value, where);
}

/* key: value, in the document or in `section`. */
static vly_status read_pair(reader *r, const yaml_event_t *key_event, const char *section,
                            yaml_event_t *value_event) {
    char key[128], value[VLY_CONFIG_TEXT];
    snprintf(key, sizeof key, "%s%s%.60s", section ? section : "", section ? "." : "",
             scalar(key_event));
    VLY_TRY(read_value(r, value_event, value, sizeof value));
    return yaml_add(r, key_event, key, value);
}

static vly_status read_mapping(reader *r, const char *section) {
    for (;;) {
        yaml_event_t key, value;
        char name[64];
        VLY_TRY(next(r, &key));
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            return VLY_OK;
        }
        vly_status status = yaml_is_plain(&key) && strlen(scalar(&key)) < sizeof name
                                ? VLY_OK
                                : BAD(r, &key, "%s",
                                      alias_words(&key) ? alias_words(&key)
                                                        : "expected the name of an option");
        memset(&value, 0, sizeof value);
        if (status == VLY_OK) status = next(r, &value);
        if (status == VLY_OK && value.type == YAML_MAPPING_START_EVENT && alias_words(&value)) {
            status = BAD(r, &value, "%s", alias_words(&value));
        } else if (status == VLY_OK && value.type == YAML_MAPPING_START_EVENT) {
            snprintf(name, sizeof name, "%s", scalar(&key));
            status = section ? BAD(r, &value, "%s.%s: sections do not nest", section, name)
                             : read_mapping(r, name);
        } else if (status == VLY_OK)
            status = read_pair(r, &key, section, &value);
        yaml_event_delete(&key);
        yaml_event_delete(&value);
        if (status != VLY_OK) return status;
    }
}

static vly_status read_stream(reader *r) {
    for (int documents = 0;;) {
        yaml_event_t event;
        VLY_TRY(next(r, &event));
        yaml_event_type_t type = event.type;
        vly_status status = VLY_OK;
        bool empty = type == YAML_SCALAR_EVENT && event.data.scalar.length == 0;
        if (type == YAML_DOCUMENT_START_EVENT && documents++)
            status = BAD(r, &event, "more than one document");
        else if (alias_words(&event))
            status = BAD(r, &event, "%s", alias_words(&event));
        else if (type == YAML_MAPPING_START_EVENT)
            status = read_mapping(r, NULL);
        else if (type == YAML_ALIAS_EVENT || type == YAML_SEQUENCE_START_EVENT ||
                 (type == YAML_SCALAR_EVENT && !empty))
            status = BAD(r, &event, "expected `section:` or `section.key: value`");
        yaml_event_delete(&event);
        if (status != VLY_OK || type == YAML_STREAM_END_EVENT) return status;
    }
}

vly_status vly_config_parse(const char *yaml, size_t bytes, const char *name,
                            vly_assignments *out) {
    reader r = {.name = name, .text = yaml, .bytes = bytes, .out = out, .first = out->n};
    if (!yaml_parser_initialize(&r.parser))
        return vly_fail(VLY_ENOMEM, "no memory to read %s", name);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)yaml, bytes);
    vly_status status = read_stream(&r);
    yaml_parser_delete(&r.parser);
    return status;
}

vly_status vly_config_load(const char *path, vly_assignments *out) {
    char *text;
    size_t bytes;
    VLY_TRY(vly_file_read(path, FILE_LIMIT, &text, &bytes));
    vly_status status = vly_config_parse(text, bytes, path, out);
    free(text);
    return status;
}
