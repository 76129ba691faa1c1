/* Calls every function of the guest API on each tick, so that a test sees each import
 * with the type that a compiler of C or C++ gives it, and each answer as it should be. */
#include "farrier.h"

/* Tells the builds in two languages apart, which would be the same bytes. */
static double number = FIRST_NUMBER;
static uint64_t time_ms;
static uint8_t buffer[64];

/* Which of the calls did not answer what they should; 0 is none. */
FARRIER_EXPORT(tick)
int tick(void) {
    int32_t sensor = FARRIER_SENSOR_OPEN("temperature");
    FARRIER_LOG(FARRIER_DEBUG, "every function");
    if (farrier_clock_monotonic_ns() < 0)
        return 1;
    if (farrier_clock_wall_ms(&time_ms) < FARRIER_CLOCK_UNKNOWN)
        return 2;
    if (farrier_random(buffer, sizeof buffer) != 0)
        return 3;
    if (FARRIER_METRIC_SET("number", &number) != 0)
        return 4;
    if (FARRIER_CONFIG_GET("unit", buffer, sizeof buffer) != 1 || buffer[0] != 'K')
        return 5;
    if (FARRIER_KV_SET("key", buffer, 1) != 0)
        return 6;
    if (FARRIER_KV_GET("key", buffer, sizeof buffer) != 1 || buffer[0] != 'K')
        return 7;
    if (FARRIER_KV_DELETE("key") != 0 || FARRIER_KV_DELETE("key") != FARRIER_ABSENT)
        return 8;
    if (farrier_sensor_read(sensor, &number) != 0)
        return 9;
    if (FARRIER_ACTUATOR_SET("fan", &number) != 0)
        return 10;
    if (FARRIER_PUBLISH("number", &number, sizeof number) != 0)
        return 11;
    if (FARRIER_RECEIVE("speed", buffer, sizeof buffer) != FARRIER_ABSENT)
        return 12;
    return 0;
}
