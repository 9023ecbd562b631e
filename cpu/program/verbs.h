/* verbs.h -- what `volley` can do, in the order in which --help lists it. A new verb is a line here
 * and a file cpu/program/verb_NAME.c that defines vly_verb_NAME (resume shares verb_train.c). */
#ifndef VLY_CPU_VERBS_H
#define VLY_CPU_VERBS_H
#include "cpu/program/cli.h"

#define VLY_VERB_MAP(XX) \
    XX(train)            \
    XX(resume)           \
    XX(estimate)         \
    XX(eval)             \
    XX(inspect)          \
    XX(trace)            \
    XX(play)             \
    XX(record)           \
    XX(plot)             \
    XX(export)           \
    XX(monitor)          \
    XX(bench)            \
    XX(ls)               \
    XX(doctor)           \
    XX(actor)            \
    XX(cluster)

#define XX(name) extern const vly_verb vly_verb_##name;
VLY_VERB_MAP(XX)
#undef XX
#endif
