/* fleet_view.h -- who takes part in distributed runs, as their stores tell it: looked up beside the
 * loop, so that a Redis that hangs holds up nobody.
 *
 *   vly_fleet_view *f;
 *   VLY_TRY(vly_fleet_view_open(&f, loop));
 *   vly_fleet_view_look(f, urls, n);           // begins, unless the last one is still under way
 *   puts(vly_fleet_view_json(f));              // what the last one found: see the page's fleet.js
 *   vly_fleet_view_close(f); <run the loop>; vly_fleet_view_free(f);
 *
 * A member that fell silent is remembered as gone. Passwords in a store's URL are not shown.
 */
#ifndef VLY_CPU_FLEET_FLEET_VIEW_H
#define VLY_CPU_FLEET_FLEET_VIEW_H
#include <uv.h>
#include "common/base/status.h"

typedef struct vly_fleet_view vly_fleet_view;
enum { VLY_FLEET_STORES = 8 };

vly_status vly_fleet_view_open(vly_fleet_view **out, uv_loop_t *loop);
void vly_fleet_view_look(vly_fleet_view *f, const char *const *urls, int n);
const char *vly_fleet_view_json(const vly_fleet_view *f);
void vly_fleet_view_close(vly_fleet_view *f);
void vly_fleet_view_free(vly_fleet_view *f);
#endif
