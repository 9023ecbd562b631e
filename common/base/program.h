/* program.h -- where this code lies on disk, and the program that other processes of a run are.
 *
 *   char folder[VLY_PATH];
 *   vly_home(folder, sizeof folder);           // of the program, or of libvolley in somebody else's
 *   execl(vly_program(folder, sizeof folder), "volley", "actor", ..., NULL);
 */
#ifndef VLY_COMMON_BASE_PROGRAM_H
#define VLY_COMMON_BASE_PROGRAM_H
#include <stddef.h>

/* "" if it cannot be found. Returns out. */
const char *vly_home(char *out, size_t bytes);
/* VOLLEY_PROGRAM if that is set; the program `volley` that was installed with libvolley; else this
 * process's own file. Returns out, or a text that lives longer. */
const char *vly_program(char *out, size_t bytes);
/* In a child before exec: threads of libvolley block all signals, and a mask is inherited. */
void vly_signals_pass(void);
#endif
