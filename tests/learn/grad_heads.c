/* Heads and inputs of networks for continuous control, compiled with VLY_REAL=double: backward is
 * the derivative of forward, of the parameters and of the input. The loss is a random weighted sum
 * of the outputs' squares. */
#include "common/learn/net.h"
#include "tests/ops/grad_check.h"

enum { ROWS = 5, INPUT = 6 };

typedef struct {
    vly_net *net;
    vly_exec *exec;
    vly_real *param, *x, *weight;
    int outputs, values; /* of a row */
} head_problem;

static double head_loss(void *arg) {
    head_problem *p = arg;
    double sum = 0;
    CHECK_OK(vly_exec_prepare(p->exec, queue, p->param));
    memcpy(p->exec->x, p->x, ROWS * INPUT * sizeof(vly_real));
    CHECK_OK(vly_exec_forward(p->exec, queue, ROWS, p->param));
    for (int i = 0; i < ROWS * p->outputs; i++) {
        const vly_real y = p->exec->logits[i];
        sum += p->weight[i] * y * y;
        p->exec->dlogits[i] = 2 * p->weight[i] * y;
    }
    for (int i = 0; i < ROWS * p->values; i++) {
        const vly_real v = p->exec->value[i];
        sum += p->weight[i] * v * v;
        p->exec->dvalue[i] = 2 * p->weight[i] * v;
    }
    return sum;
}

static void check_head(const char *what, vly_net_desc d) {
    head_problem p = {0};
    d.kind = VLY_NET_MLP, d.layers = 2, d.hidden[0] = 7, d.hidden[1] = 5, d.act = VLY_ACT_TANH;
    d.obs = (vly_obs_spec){
        .dtype = VLY_F32, .ndim = 1, .shape = {INPUT}, .stack = 1, .scale = 1, .bytes = INPUT * 4};
    CHECK_OK(vly_net_create(&p.net, &d));
    CHECK_OK(vly_exec_create(&p.exec, cpu, p.net, ROWS, true, "gradient check"));
    const int64_t n = vly_net_params(p.net);
    int width;
    const int64_t moments = vly_net_moments(p.net, &width);
    p.outputs = vly_net_width(p.net);
    p.values = d.head == VLY_HEAD_TWIN ? d.actions : p.exec->value ? 1 : 0;
    p.param = noise_array(1, n), p.x = noise_array(2, ROWS * INPUT);
    p.weight = noise_array(3, ROWS * p.outputs);
    vly_real *grad = noise_array(4, n);
    CHECK(!vly_net_tensor(p.net, 0)->constant || moments == 0);
    head_loss(&p);
    CHECK_OK(vly_exec_backward(p.exec, queue, ROWS, p.param, grad));
    const vly_tensor *t;
    for (int i = 0; (t = vly_net_tensor(p.net, i)) != NULL; i++)
        if (moments < 0 || t->offset >= moments + 2 * width)
            grad_check(what, head_loss, &p, p.param + t->offset, grad + t->offset, t->n);
    for (int k = 0; k < 2 * width; k++) CHECK_EQ(grad[moments + k], 0); /* not trained */
    if (p.exec->dx) {
        vly_real dx[ROWS * INPUT];
        head_loss(&p);
        CHECK_OK(vly_exec_backward(p.exec, queue, ROWS, p.param, grad));
        memcpy(dx, p.exec->dx, sizeof dx);
        grad_check(what, head_loss, &p, p.x, dx, ROWS * INPUT);
        head_loss(&p);
        memset(p.exec->dx, 0xff, sizeof dx);
        CHECK_OK(vly_exec_backward(p.exec, queue, ROWS, p.param, NULL));
        CHECK(memcmp(dx, p.exec->dx, sizeof dx) == 0); /* alone */
    } else {
        CHECK_EQ(vly_exec_backward(p.exec, queue, ROWS, p.param, NULL), VLY_EINVAL);
    }
    vly_exec_destroy(p.exec);
    vly_net_destroy(p.net);
}

static void first_weights_are_as_described(void) {
    vly_net *net;
    const vly_net_desc d = {.kind = VLY_NET_MLP,
                            .obs = {.dtype = VLY_F32,
                                    .ndim = 1,
                                    .shape = {INPUT},
                                    .stack = 1,
                                    .scale = 1,
                                    .bytes = INPUT * 4},
                            .actions = 2,
                            .tail = 2,
                            .head = VLY_HEAD_POLICY,
                            .normalize = true,
                            .init = VLY_INIT_TORCH};
    int width;
    CHECK_OK(vly_net_create(&net, &d));
    vly_real *param = noise_array(1, vly_net_params(net));
    CHECK_OK(vly_net_init(net, 3, param));
    const vly_real *mean = param + vly_net_moments(net, &width);
    CHECK_EQ(width, INPUT);
    for (int k = 0; k < width; k++) CHECK(mean[k] == 0 && mean[width + k] == 1);
    const vly_tensor *t, *tail = NULL;
    for (int i = 0; (t = vly_net_tensor(net, i)) != NULL; i++)
        if (!strcmp(t->name, "policy.tail")) tail = t;
    CHECK(tail && param[tail->offset] == 0 && param[tail->offset + 1] == 0);
    CHECK_EQ(vly_net_weights(net), 6 * 2 + 2 + 2);
    vly_net_destroy(net);
    vly_net_desc bad = d;
    bad.obs.stack = 4;
    CHECK_EQ(vly_net_create(&net, &bad), VLY_EINVAL);
    bad = d, bad.normalize = false, bad.head = VLY_HEAD_TWIN, bad.lstm = 8;
    CHECK_EQ(vly_net_create(&net, &bad), VLY_EINVAL);
}

int main(void) {
    cpu_open(1);
    check_head("deviations of their own", (vly_net_desc){.actions = 3, .tail = 3});
    check_head("normalised, towers of one head",
               (vly_net_desc){.actions = 4, .head = VLY_HEAD_POLICY, .normalize = true});
    check_head("an action", (vly_net_desc){.actions = 3, .head = VLY_HEAD_ACTION});
    check_head("twin critics",
               (vly_net_desc){.actions = 1, .head = VLY_HEAD_TWIN, .input_grads = true});
    check_head("twin critics of choices",
               (vly_net_desc){.actions = 4, .head = VLY_HEAD_TWIN, .normalize = true});
    check_head("the gradient of an input",
               (vly_net_desc){.actions = 2, .head = VLY_HEAD_POLICY, .input_grads = true});
    first_weights_are_as_described();
    cpu_close();
    return TEST_PASS;
}
