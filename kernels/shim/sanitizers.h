/* sanitizers.h -- which sanitizer the shim is built with. */
#ifndef VLY_SHIM_SANITIZERS_H
#define VLY_SHIM_SANITIZERS_H

#if defined(__SANITIZE_ADDRESS__)
#define VLY_SHIM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VLY_SHIM_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define VLY_SHIM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VLY_SHIM_TSAN 1
#endif
#endif
#endif
