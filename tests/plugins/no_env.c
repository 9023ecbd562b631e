/* no_env.c -- a library that is no environment plugin. */
int vly_not_an_env(void);
int vly_not_an_env(void) {
    return 1;
}
