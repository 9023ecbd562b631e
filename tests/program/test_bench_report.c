/* volley bench report: tables and pictures from files of results of several shapes. */
#include <stdbool.h>
#include "cpu/program/bench_table.h"
#include "tests/kit/program.h"

static const char *in_folder(const char *name) {
    static char ring[4][160];
    static int next;
    char *path = ring[next = (next + 1) % 4];
    snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}

static void save(const char *name, const char *text) {
    CHECK_OK(vly_file_replace(in_folder(name), text, strlen(text)));
}

static int report(const char *arguments) {
    return volley("bench report %s", arguments);
}

static bool holds(const char *name, const char *text) {
    char *all = program_read(name);
    const bool found = strstr(all, text) != NULL;
    free(all);
    return found;
}

static bool shows(const char *name, const char *text) {
    const bool found = holds(name, text);
    if (!found) fprintf(stderr, "'%s' is not in %s\n", text, name);
    return found;
}

static void numbers_are_short(void) {
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0"},          {475, "475"},         {-21, "-21"},        {9999, "9999"},
                 {56099, "56.1 k"}, {83337850, "83.3 M"}, {1.26e12, "1.26 T"}, {0.012345, "0.0123"},
                 {2.2475, "2.25"},  {722.8, "723"},       {999800, "1 M"},     {-5e6, "-5 M"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[32];
        vly_bench_number(cases[i].v, text, sizeof text);
        if (strcmp(text, cases[i].text)) fprintf(stderr, "%g is %s\n", cases[i].v, text);
        CHECK(strcmp(text, cases[i].text) == 0);
    }
}

static void tables_say_what_files_say(void) {
    save("envs.json",
         "{\"command\":\"run me\",\"hardware\":\"a | machine\",\"results\":["
         "{\"name\":\"a/step\",\"unit\":\"steps/s\",\"volley\":{\"median\":83337850,\"all\":[1,2]},"
         "\"peers\":[{\"name\":\"p1\",\"ratio\":7.5},{\"name\":\"p2\",\"ratio\":0.5}]},"
         "{\"name\":\"b/step\",\"unit\":\"steps/s\",\"volley\":{\"median\":12},\"peers\":[]}]}");
    save("named.json", "{\"results\":{\"ins\\u001bert\":{\"ratio\":5.79,\"ok\":true}}}");
    CHECK_EQ(report("named.json --out c.md"), 0);
    CHECK(shows("c.md", "| ins?ert | 5.79 | yes |\n"));
    save("named.json", "{\"results\":{\"insert\":{\"ratio\":5.79,\"ok\":true},\"sample\":{"
                       "\"ratio\":6.5,\"ok\":false}}}");
    CHECK_EQ(report("envs.json named.json --out r.md"), 0);
    CHECK(
        shows("r.md",
              "## envs\n\n    run me\n\nhardware: a \\| machine\n\nIn all rows: unit steps/s.\n"));
    CHECK(shows(
        "r.md",
        "| name | volley.median | peer.name | peer.ratio |\n|---|---|---|---|\n"
        "| a/step | 83.3 M | p1 | 7.5 |\n| a/step | 83.3 M | p2 | 0.5 |\n| b/step | 12 |  |  |\n"));
    CHECK(shows(
        "r.md",
        "| name | ratio | ok |\n|---|---|---|\n| insert | 5.79 | yes |\n| sample | 6.5 | no |\n"));
}

static void files_of_several_and_of_facts_alone_are_read(void) {
    save("several.json", "{\"pong\":{\"algo\":\"ppo\",\"runs\":[{\"seed\":1,\"curve\":[[1,2],[3,4]]"
                         "},{\"seed\":2}]},\"qbert\":{\"runs\":[{\"seed\":3}]}}");
    save("soak.json", "{\"command\":\"soak\",\"steps\":7087458,\"growth\":{\"mb\":0.5}}");
    CHECK_EQ(report("several.json soak.json --out s.md"), 0);
    CHECK(shows("s.md", "| name | seed |\n|---|---|\n| pong | 1 |\n| pong | 2 |\n| qbert | 3 |\n"));
    CHECK(shows("s.md", "## soak\n\n    soak\n\nsteps: 7.09 M · growth.mb: 0.5\n"));
}

static void medians_stand_with_their_ranges_and_commits_say_dirty(void) {
    save("fair.json",
         "{\"commit\":\"0123456789abcdef0123456789abcdef01234567-dirty\",\"results\":[{\"name\":"
         "\"a\","
         "\"unit\":\"steps/s\",\"volley\":{\"median\":23500000,\"min\":22400000,\"max\":24200000,"
         "\"actors\":8},\"ratio\":{\"median\":2,\"min\":1.69,\"max\":2.3},"
         "\"samples\":{\"volley\":[1,2]}}]}");
    CHECK_EQ(report("fair.json --out f.md"), 0);
    CHECK(shows("f.md", "commit: 0123456789ab-dirty\n"));
    CHECK(shows("f.md", "| name | unit | volley | volley.actors | ratio |\n|---|---|---|---|---|\n"
                        "| a | steps/s | 23.5 M (22.4 M to 24.2 M) | 8 | 2 (1.69 to 2.3) |\n"));
}

static void many_rows_are_summed_up(void) {
    char *text;
    size_t bytes;
    FILE *f = open_memstream(&text, &bytes);
    fputs("{\"rows\":[", f);
    for (int i = 0; i < 101; i++)
        fprintf(f, "%s{\"x\":%d,\"equal\":%s}", i ? "," : "", i, i == 7 ? "false" : "true");
    fputs("]}", f);
    fclose(f);
    save("many.json", text);
    free(text);
    CHECK_EQ(report("many.json --out m.md"), 0);
    CHECK(shows("m.md", "101 rows, summed up.\n\n| column | least | median | most "
                        "|\n|---|---|---|---|\n| x | 0 | 50 | 100 |\n"
                        "| equal | yes in 100, no in 1 | | |\n"));
    char same[101 * 20] = "{\"rows\":[";
    for (int i = 0; i < 101; i++) {
        const size_t used = strlen(same);
        snprintf(same + used, sizeof same - used, "%s{\"game\":\"g%d\"}", i ? "," : "", i);
    }
    strcat(same, "]}");
    save("same.json", same);
    CHECK_EQ(report("same.json --out e.md"), 0);
    CHECK(shows("e.md", "101 rows.\n"));
    CHECK(!holds("e.md", "|---|"));
}

static void bad_files_are_named(void) {
    save("bad.json", "{\"results\": [1, 2");
    save("none.json", "{\"results\":[1,2]}");
    CHECK_EQ(report("bad.json --out r.md"), 2);
    CHECK(shows("err", "bad.json is not JSON"));
    CHECK_EQ(report("none.json --out r.md"), 2);
    CHECK(shows("err", "none.json holds nothing to show"));
    CHECK_EQ(report("missing.json --out r.md"), 2);
    CHECK_EQ(report("envs.json --out r.txt"), 2);
    CHECK_EQ(report(""), 2);
    CHECK_EQ(report("envs.json --out no/such/r.md") == 0, 0);
}

static void pictures_are_drawn_where_there_is_something_to_draw(void) {
    if (system("command -v gnuplot >/dev/null 2>&1") != 0) {
        SKIP_PART("gnuplot is not installed: no pictures were drawn");
        return;
    }
    save("kernels.json", "words "
                         "before\n{\"results\":[{\"name\":\"copy\",\"unit\":\"GB/"
                         "s\",\"median\":30,\"peak_percent\":100},"
                         "{\"name\":\"add\",\"unit\":\"GB/s\",\"median\":20,\"peak_percent\":66},"
                         "{\"name\":\"linear/peak\",\"unit\":\"TFLOP/"
                         "s\",\"median\":1.4,\"flop_per_byte\":100,\"peak_percent\":100}]}\n");
    save("scaling.json",
         "{\"results\":[{\"name\":\"pipeline/gpus/1\",\"unit\":\"steps/"
         "s\",\"median\":10},{\"name\":\"pipeline/gpus/2\",\"median\":19},"
         "{\"name\":\"pipeline/gpus/4\",\"median\":35},{\"name\":\"gae/128x64\",\"median\":3}]}");
    CHECK_EQ(report("envs.json kernels.json scaling.json --out p.md"), 0);
    static const char *const wanted[] = {"p-envs-ratios.svg", "p-kernels-roofline.svg",
                                         "p-kernels-bandwidth.svg", "p-scaling-scaling.svg"};
    for (int i = 0; i < 4; i++) {
        char link[80];
        snprintf(link, sizeof link, "](%s)", wanted[i]);
        CHECK(shows("p.md", link));
        char *picture = program_read(wanted[i]);
        CHECK(strncmp(picture, "<?xml", 5) == 0 && strlen(picture) > 3000);
        free(picture);
    }
    CHECK(access(in_folder("p-envs-roofline.svg"), F_OK) != 0);
    CHECK(shows("p-scaling-scaling.svg", "pipeline/gpus") &&
          shows("p-envs-ratios.svg", "a/step : p1"));
    save("games.json", "{\"pong\":{\"runs\":[{\"seed\":1,\"curve\":[[0,0,-21],[2000000,9,18]]},{"
                       "\"seed\":2,\"curve\":[[0,0,-21],[1000000,9,3]]}]},"
                       "\"qbert\":{\"runs\":[{\"seed\":3}]}}");
    CHECK_EQ(report("games.json --out g.svg"), 0);
    CHECK(shows("g-games-learning.svg", "million agent steps") &&
          shows("g-games-learning.svg", ">pong<"));
    CHECK(!holds("g-games-learning.svg", "published"));
    save("band.json", "{\"hopper\":{\"published\":\"2382.86 +- 271.74: somebody\",\"runs\":[{"
                      "\"seed\":1,\"curve\":[[0,0,5],[2000000,9,100]]}]}}");
    CHECK_EQ(report("band.json --out b.svg"), 0);
    CHECK(shows("b-band-learning.svg", ">hopper (published: the broken line)<"));
    CHECK(shows("b-band-learning.svg", "2500<")); /* the axis reaches what is published */
    CHECK_EQ(report("scaling.json --out q.png"), 0);
    save("plain.json", "{\"results\":[{\"name\":\"x\",\"median\":1}]}");
    CHECK_EQ(report("plain.json --out q.svg"), 2); /* nothing to draw */
}

int main(void) {
    program_open();
    numbers_are_short();
    tables_say_what_files_say();
    files_of_several_and_of_facts_alone_are_read();
    medians_stand_with_their_ranges_and_commits_say_dirty();
    many_rows_are_summed_up();
    bad_files_are_named();
    pictures_are_drawn_where_there_is_something_to_draw();
    return program_close();
}
