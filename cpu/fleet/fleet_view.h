/* fleet_view.h -- the members of fleets, read from their stores on a thread of the loop's pool, so
 * that a Redis that hangs does not block the loop.
 *
 *   vly_fleet_view *f;
 *   VLY_TRY(vly_fleet_view_open(&f, loop));
 *   vly_fleet_view_look(f, urls, n);           // starts a read, unless one is in progress
 *   puts(vly_fleet_view_json(f));              // result of the last complete read: see fleet.js
 *   vly_fleet_view_close(f); <run the loop>; vly_fleet_view_free(f);
 *
 * A member whose heartbeat has expired stays listed as not alive for ten minutes. Passwords in URLs
 * are masked. */
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
