/* Standard input has one number a line. For each, print its prime factors; then sort
   them with qsort and print sums that use printf's floating point. */

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
    const unsigned long long x = *(const unsigned long long *)a;
    const unsigned long long y = *(const unsigned long long *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    unsigned long long *numbers = NULL;
    size_t count = 0, room = 0;
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        if (count == room) {
            room = room * 2 + 4;
            numbers = realloc(numbers, room * sizeof *numbers);
            if (numbers == NULL) return 2;
        }
        numbers[count++] = strtoull(line, NULL, 10);
    }
    printf("%s: %zu numbers, %d arguments\n", argv[0], count, argc - 1);
    qsort(numbers, count, sizeof *numbers, compare);
    double sum = 0, product = 1;
    for (size_t i = 0; i < count; i++) {
        unsigned long long rest = numbers[i];
        printf("%llu =", numbers[i]);
        for (unsigned long long factor = 2; factor * factor <= rest; factor++) {
            while (rest % factor == 0) {
                printf(" %llu", factor);
                rest /= factor;
            }
        }
        if (rest > 1) printf(" %llu", rest);
        puts("");
        sum += log((double)numbers[i]);
        product *= sqrt((double)numbers[i]);
    }
    printf("sum of logarithms %.15g, square root of the product %a\n", sum, product);
    free(numbers);
    return argc > 1 && strcmp(argv[1], "--fail") == 0 ? 7 : 0;
}
