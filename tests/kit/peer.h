/* peer.h -- finds a Python that has a package of the reference implementations.
 *
 *   const char *python = peer_python("tensorboard");
 *   if (!python) SKIP("tensorboard is not here ...");
 *
 * $VLY_PYTHON, then build/peers (tests/kit/peers.sh makes it), then python3.
 */
#ifndef VLY_TESTS_KIT_PEER_H
#define VLY_TESTS_KIT_PEER_H
#include <stdio.h>
#include <stdlib.h>

static inline const char *peer_python(const char *module) {
    const char *const found[] = {getenv("VLY_PYTHON"), "build/peers/bin/python", "python3"};
    char command[600];
    for (int i = 0; i < 3; i++) {
        if (!found[i]) continue;
        snprintf(command, sizeof command, "%s -c 'import %s' >/dev/null 2>&1", found[i], module);
        if (system(command) == 0) return found[i];
    }
    return NULL;
}
#endif
