/* A push button that bounces: publishes a byte on `pressed`, 1 or 0, once the sensor
 * `button` has shown the same for three ticks. */
#include "farrier.h"

#define STABLE_TICKS 3

static int32_t button;
static uint8_t state;    /* as published last; a button begins released */
static uint8_t candidate;
static uint32_t seen;    /* ticks in a row with the candidate */

FARRIER_EXPORT(init)
int init(void) {
    button = FARRIER_SENSOR_OPEN("button");
    if (button < 0) {
        FARRIER_LOG(FARRIER_ERROR, "the sensor button is not granted");
        return 1;
    }
    return 0;
}

FARRIER_EXPORT(tick)
int tick(void) {
    double sample;
    if (farrier_sensor_read(button, &sample) < 0)
        return 2;
    uint8_t now = sample > 0.5;
    seen = now == candidate ? seen + 1 : 1;
    candidate = now;
    if (seen < STABLE_TICKS || now == state)
        return 0;
    state = now;
    return FARRIER_PUBLISH("pressed", &state, sizeof state) < 0 ? 3 : 0;
}
