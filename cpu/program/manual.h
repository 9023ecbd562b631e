/* manual.h -- volley(1), from the tables of verbs and options: `volley ls options --man >
 * volley.1`. */
#ifndef VLY_CPU_MANUAL_H
#define VLY_CPU_MANUAL_H
#include <stdio.h>

/* In the man macros that man-db, groff and mandoc all read. */
void vly_manual_print(FILE *out);
#endif
