/* volley(1): what mandoc and man think of it, and that every verb and option is in it. */
#include "tests/kit/check.h"
#include <stdbool.h>
#include <unistd.h>
#include "common/config/config.h"
#include "common/base/file.h"

static char folder[64] = "/tmp/volley-manual-XXXXXX";
static char page[128];

static bool has(const char *program) {
    char test[128];
    snprintf(test, sizeof test, "command -v %s >/dev/null 2>&1", program);
    return system(test) == 0;
}

/* The page's text without roff's escapes of hyphens. */
static char *text(void) {
    char *all;
    size_t bytes, to = 0;
    CHECK_OK(vly_file_read(page, 1 << 22, &all, &bytes));
    for (size_t i = 0; i < bytes; i++)
        if (all[i] != '\\' || all[i + 1] != '-') all[to++] = all[i];
    all[to] = '\0';
    return all;
}

static void every_option_of_a_run_is_in_it(void) {
    int n;
    char wanted[160], *all = text();
    const vly_option *o = vly_config_options(&n);
    CHECK(n > 100);
    for (int i = 0; i < n; i++) {
        if (strcmp(o[i].section, "run") == 0) continue; /* written with dashes, without a section */
        snprintf(wanted, sizeof wanted, "--%s.%s", o[i].section, o[i].key);
        if (!strstr(all, wanted)) fprintf(stderr, "%s is missing\n", wanted);
        CHECK(strstr(all, wanted) && strstr(all, "--until-return"));
    }
    free(all);
}

static void every_verb_is_in_it(void) {
    char line[256], wanted[64], *all = text();
    FILE *help = popen(VLY_TEST_PROGRAM " --help", "r");
    int verbs = 0;
    while (help && fgets(line, sizeof line, help)) {
        char name[32];
        if (sscanf(line, "  volley %31s", name) != 1 || strncmp(line, "  volley ", 9)) continue;
        snprintf(wanted, sizeof wanted, ".SS volley %s", name);
        CHECK(strstr(all, wanted) != NULL);
        verbs++;
    }
    CHECK(help && pclose(help) == 0 && verbs > 10);
    free(all);
}

static void accepts(const char *program, const char *arguments) {
    char command[400];
    if (!has(program)) {
        SKIP_PART("no %s (./setup.sh test)", program);
        return;
    }
    snprintf(command, sizeof command,
             "%s %s %s >%s/words 2>&1; s=$?; cat %s/words >&2; [ $s -eq 0 ] && ! [ -s %s/words ]",
             program, arguments, page, folder, folder, folder);
    CHECK_EQ(system(command), 0);
}

int main(void) {
    char command[400];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(page, sizeof page, "%s/volley.1", folder);
    snprintf(command, sizeof command, "%s ls options --man >%s", VLY_TEST_PROGRAM, page);
    CHECK_EQ(system(command), 0);
    every_option_of_a_run_is_in_it();
    every_verb_is_in_it();
    accepts("mandoc", "-Tlint -Wwarning");
    accepts("groff", "-man -Tutf8 -ww -z");
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_EQ(system(command), 0);
    return TEST_PASS;
}
