/* net_impl.h -- the inside of a network, for common/learn/net*.c alone.
 *
 *   net.c       from a description to nodes, values and named tensors
 *   net_init.c  first weights: orthogonal, PyTorch's, normal
 *   net_exec.c  a context: memory, layers, forward and backward
 */
#ifndef VLY_COMMON_LEARN_NET_IMPL_H
#define VLY_COMMON_LEARN_NET_IMPL_H
#include "common/learn/net.h"

enum { NODES_MAX = 64, TENSORS_MAX = 96, ALIGN = 16 };

struct vly_net {
    vly_net_desc desc;
    vly_net_node nodes[NODES_MAX];
    vly_net_value values[NODES_MAX];
    vly_tensor tensors[TENSORS_MAX];
    int node_count, value_count, tensor_count;
    int64_t params, weights;
    int logits, value; /* values; value is -1 without one */
    int64_t centre;    /* parameter; -1: none */
    int inputs;        /* values below this are the input, as it is and normalised */
};
#endif
