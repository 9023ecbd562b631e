#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include "cpu/monitor/monitor_impl.h"
#include <monitor_page.h> /* made of cpu/monitor/ at build time: page_head, page_style, page_script, page_tail */

/* The style and the script of this answer alone have its nonce: nothing that is slipped in between
 * can run. */
void vly_monitor_write_page(vly_http_reply *reply) {
    unsigned char bytes[16];
    char nonce[2 * sizeof bytes + 1] = "";
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        reply->status = 503;
        return;
    }
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
    reply->type = "text/html; charset=utf-8";
    snprintf(reply->more, sizeof reply->more,
             "Content-Security-Policy: default-src 'none'; script-src 'nonce-%s'; style-src "
             "'nonce-%s'; img-src 'self' data:; connect-src 'self'; "
             "base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
             nonce, nonce);
    vly_text *t = &reply->body;
    vly_text_bytes(t, page_head, sizeof page_head - 1);
    vly_text_add(t, "<style nonce=\"%s\">\n", nonce);
    vly_text_bytes(t, page_style, sizeof page_style - 1);
    vly_text_add(t, "</style>\n");
    vly_text_bytes(t, page_body, sizeof page_body - 1);
    vly_text_add(t, "<script nonce=\"%s\">\n\"use strict\";\n", nonce);
    vly_text_bytes(t, page_script, sizeof page_script - 1);
    vly_text_add(t, "</script>\n</body>\n</html>\n");
}
