/* Farrier's guest API, version 1, for modules written in C or C++.
 *
 * A module exports `init` and `tick`, both optional and of type `int (void)`:
 *
 *     #include "farrier.h"
 *
 *     FARRIER_EXPORT(tick) int tick(void) {
 *         FARRIER_LOG(FARRIER_INFO, "hello");
 *         return 0;
 *     }
 *
 * Compile freestanding for wasm32; docs/guest-api.md of Farrier says what each function
 * promises. Names and texts are bytes and a length, never terminated by a zero.
 */
#ifndef FARRIER_H
#define FARRIER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FARRIER_IMPORT(name) \
    __attribute__((import_module("farrier"), import_name(#name)))

/* Makes the function after it visible to the runtime. */
#define FARRIER_EXPORT(name) __attribute__((export_name(#name), used))

enum farrier_level {
    FARRIER_ERROR = 0,
    FARRIER_WARN = 1,
    FARRIER_INFO = 2,
    FARRIER_DEBUG = 3,
};

/* What functions answer below zero. */
enum farrier_error {
    FARRIER_NAME = -1,        /* not UTF-8, empty, or longer than 64 bytes */
    FARRIER_DENIED = -2,      /* nothing of this name is granted to the module */
    FARRIER_HANDLE = -3,      /* farrier_sensor_open never returned it */
    FARRIER_TOO_LONG = -4,    /* more bytes than the function takes */
    FARRIER_TOO_MANY = -5,    /* more of this in this second than the module may do */
    FARRIER_UNAVAILABLE = -6, /* the device cannot do it now */
    FARRIER_ABSENT = -7,      /* there is nothing under this key, or no message */
    FARRIER_VALUE = -8,       /* the number is not finite, or out of its range */
    FARRIER_FULL = -9,        /* there is no room for one more */
};

/* How the device knows what time it is. */
enum farrier_clock_trust {
    FARRIER_CLOCK_UNKNOWN = 0,    /* it does not: the time is a lower bound, or 0 */
    FARRIER_CLOCK_CONFIGURED = 1, /* its owner says that its clock is right */
    FARRIER_CLOCK_GATEWAY = 2,    /* the gateway told it */
};

/* Writes a line of at most 1,024 bytes to the module's log. */
FARRIER_IMPORT(log)
void farrier_log(int32_t level, const char *text, size_t text_len);

/* Nanoseconds since some fixed moment before the first call; never goes back. */
FARRIER_IMPORT(clock_monotonic_ns)
int64_t farrier_clock_monotonic_ns(void);

/* Writes milliseconds since 1970; a farrier_clock_trust. */
FARRIER_IMPORT(clock_wall_ms)
int32_t farrier_clock_wall_ms(uint64_t *time_ms);

/* Writes at most 256 random bytes, fit for keys; 0 or an error. */
FARRIER_IMPORT(random)
int32_t farrier_random(void *bytes, size_t len);

/* Sets one of the module's own numbers, at most 16; 0 or an error. */
FARRIER_IMPORT(metric_set)
int32_t farrier_metric_set(const char *name, size_t name_len, const double *value);

/* Looks a key of the deployment's configuration up: the value's length, or an error. A
 * value that is longer than value_len is not written. */
FARRIER_IMPORT(config_get)
int32_t farrier_config_get(const char *key, size_t key_len, void *value, size_t value_len);

/* The same for what the module has stored. */
FARRIER_IMPORT(kv_get)
int32_t farrier_kv_get(const char *key, size_t key_len, void *value, size_t value_len);

/* Stores a value of at most 4,096 bytes, which has survived a power cut once this has
 * returned 0; or an error. */
FARRIER_IMPORT(kv_set)
int32_t farrier_kv_set(const char *key, size_t key_len, const void *value, size_t value_len);

/* Stores nothing under the key any more; 0 or an error. */
FARRIER_IMPORT(kv_delete)
int32_t farrier_kv_delete(const char *key, size_t key_len);

/* A handle of 0 or more, or an error. */
FARRIER_IMPORT(sensor_open)
int32_t farrier_sensor_open(const char *name, size_t name_len);

/* Writes the next sample; 0 or an error. */
FARRIER_IMPORT(sensor_read)
int32_t farrier_sensor_read(int32_t sensor, double *sample);

/* Sets an actuator of the device; 0 or an error. */
FARRIER_IMPORT(actuator_set)
int32_t farrier_actuator_set(const char *name, size_t name_len, const double *value);

/* Sends a message of at most 1,024 bytes; 0 or an error. */
FARRIER_IMPORT(publish)
int32_t farrier_publish(const char *channel, size_t channel_len,
                        const void *payload, size_t payload_len);

/* Takes the oldest message that waits on a channel: its length, or an error. A message
 * that is longer than payload_len is not written and goes on waiting. */
FARRIER_IMPORT(receive)
int32_t farrier_receive(const char *channel, size_t channel_len,
                        void *payload, size_t payload_len);

/* The same for literals, whose length is known. */
#define FARRIER_LOG(level, literal) farrier_log((level), "" literal, sizeof(literal) - 1)
#define FARRIER_METRIC_SET(literal, value) \
    farrier_metric_set("" literal, sizeof(literal) - 1, (value))
#define FARRIER_CONFIG_GET(literal, value, value_len) \
    farrier_config_get("" literal, sizeof(literal) - 1, (value), (value_len))
#define FARRIER_KV_GET(literal, value, value_len) \
    farrier_kv_get("" literal, sizeof(literal) - 1, (value), (value_len))
#define FARRIER_KV_SET(literal, value, value_len) \
    farrier_kv_set("" literal, sizeof(literal) - 1, (value), (value_len))
#define FARRIER_KV_DELETE(literal) farrier_kv_delete("" literal, sizeof(literal) - 1)
#define FARRIER_SENSOR_OPEN(literal) farrier_sensor_open("" literal, sizeof(literal) - 1)
#define FARRIER_ACTUATOR_SET(literal, value) \
    farrier_actuator_set("" literal, sizeof(literal) - 1, (value))
#define FARRIER_PUBLISH(literal, payload, payload_len) \
    farrier_publish("" literal, sizeof(literal) - 1, (payload), (payload_len))
#define FARRIER_RECEIVE(literal, payload, payload_len) \
    farrier_receive("" literal, sizeof(literal) - 1, (payload), (payload_len))

#ifdef __cplusplus
}
#endif

#endif
