/* What the `logbook` of every language does: `logbook DIRECTORY EXIT_CODE` uses each
   capability of WASI preview 1 and says the same in each. Answers: answers/logbook.txt. */

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *directory;

static const char *below(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void fail(const char *what) {
    perror(what);
    exit(99);
}

/* Kept in a file that is replaced as a whole. */
static int count_run(void) {
    int run = 0;
    FILE *file = fopen(below("runs.txt"), "r");
    if (file && fscanf(file, "%d", &run) != 1) fail("read runs.txt");
    if (file) fclose(file);
    file = fopen(below("runs.new"), "w");
    if (!file || fprintf(file, "%d\n", ++run) < 0 || fclose(file)) fail("write runs.new");
    char *new = strdup(below("runs.new"));
    if (rename(new, below("runs.txt"))) fail("rename runs.new");
    free(new);
    return run;
}

/* Writes, seeks back and overwrites, appends, and reads all of it again. */
static void write_levels(void) {
    if (mkdir(below("day"), 0755) && errno != EEXIST) fail("mkdir day");
    FILE *file = fopen(below("day/levels.txt"), "w+");
    if (!file) fail("open day/levels.txt");
    for (int level = 0; level < 100; level++) fprintf(file, "%d\n", level * level);
    fseek(file, 2, SEEK_SET);
    fputs("one", file);
    fseek(file, 0, SEEK_END);
    fputs("end\n", file);
    rewind(file);
    uint32_t hash = 0x811c9dc5;
    int bytes = 0;
    for (int byte; (byte = fgetc(file)) != EOF; bytes++) hash = (hash ^ byte) * 0x01000193;
    if (fclose(file)) fail("close day/levels.txt");
    printf("%d bytes, hash %08x\n", bytes, (unsigned)hash);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(void) {
    char *names[16];
    size_t count = 0;
    DIR *open = opendir(directory);
    if (!open) fail("opendir");
    for (struct dirent *entry; (entry = readdir(open)) && count < 16;)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            names[count++] = strdup(entry->d_name);
    closedir(open);
    qsort(names, count, sizeof *names, by_name);
    printf("holds:");
    for (size_t i = 0; i < count; i++) printf(" %s", names[i]);
    printf("\n");
}

int main(int argc, char **argv) {
    printf("arguments:");
    for (int i = 1; i < argc; i++) printf(" %s", argv[i]);
    const char *unit = getenv("UNIT");
    printf("\nUNIT=%s\n", unit ? unit : "");
    directory = argv[1];
    printf("run %d\n", count_run());
    write_levels();
    list();
    FILE *missing = fopen(below("missing"), "r");
    printf("missing: %s\n", !missing && errno == ENOENT ? "not found" : "?");
    FILE *outside = fopen(below("../../etc/passwd"), "r");
    printf("outside: %s\n", outside ? "open" : "refused");
    struct timespec before, after, day;
    clock_gettime(CLOCK_MONOTONIC, &before);
    clock_gettime(CLOCK_MONOTONIC, &after);
    clock_gettime(CLOCK_REALTIME, &day);
    double passed = difftime(after.tv_sec, before.tv_sec) * 1e9 + (after.tv_nsec - before.tv_nsec);
    printf("time: %s\n", passed >= 0 && day.tv_sec > 1600000000 ? "goes on" : "?");
    char one[16] = {0}, other[16] = {0};
    if (getentropy(one, sizeof one) || getentropy(other, sizeof other)) fail("getentropy");
    printf("random: %s\n", memcmp(one, other, sizeof one) ? "yes" : "no");
    fprintf(stderr, "logbook: done\n");
    return atoi(argv[2]);
}
