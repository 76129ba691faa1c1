/* Publishes by how much the temperature has changed. */
#include "farrier.h"

static int32_t sensor;
static double before;
static int has_before;

/* Called once. What it returns is 0 for good, or your own number for what went wrong. */
FARRIER_EXPORT(init)
int init(void) {
    sensor = FARRIER_SENSOR_OPEN("temperature");
    if (sensor < 0) {
        FARRIER_LOG(FARRIER_ERROR, "the sensor temperature is not granted");
        return 1;
    }
    return 0;
}

/* Called at the interval of the deployment. */
FARRIER_EXPORT(tick)
int tick(void) {
    double sample;
    if (farrier_sensor_read(sensor, &sample) < 0)
        return 2;
    double change = sample - before;
    int is_news = has_before && change != 0;
    before = sample;
    has_before = 1;
    if (!is_news)
        return 0;
    return FARRIER_PUBLISH("change", &change, sizeof change) < 0 ? 3 : 0;
}
