/* run_list.h -- the runs in a folder (or below the folders in it), the newest first, followed while
 * they run.
 *
 *   VLY_TRY(vly_run_list_open(&l, "runs"));      // a folder of runs, or one run
 *   vly_run_list_look(l);                        // now and then: new runs, removed runs, which are live
 *   while (vly_run_list_read(l)) ...;            // a piece at a time
 *   for (i = 0; i < l->n; i++) ... l->v[i] ...
 */
#ifndef VLY_CPU_RUN_LIST_H
#define VLY_CPU_RUN_LIST_H
#include "cpu/monitor/run_log.h"

enum { VLY_RUN_LIST_MOST = 256 };

typedef struct {
    char folder[1200];
    bool single; /* the folder is itself a run */
    vly_run_log *v[VLY_RUN_LIST_MOST];
    int n;
    int left_out;     /* runs beyond the newest VLY_RUN_LIST_MOST */
    uint64_t changes; /* of the list itself */
} vly_run_list;

vly_status vly_run_list_open(vly_run_list **out, const char *folder);
void vly_run_list_close(vly_run_list *l);
void vly_run_list_look(vly_run_list *l);
bool vly_run_list_read(vly_run_list *l);
vly_run_log *vly_run_list_find(vly_run_list *l, const char *name); /* NULL: none */
#endif
