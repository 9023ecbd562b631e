/* The program: one table of verbs; each is a file of its own, verb_NAME.c. */
#include "cpu/program/cli.h"
#include "cpu/program/verbs.h"

static const vly_verb *const verbs[] = {
#define XX(name) &vly_verb_##name,
    VLY_VERB_MAP(XX)
#undef XX
        NULL};

int main(int argc, char **argv) {
    return vly_cli_main(verbs, argc, argv);
}
