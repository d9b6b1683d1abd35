/* A worker in C11: decode of csr and dense, validate of csr, linear with a csr weight (spec/protocol.md).
 *
 *   cc -std=c11 -O2 -o worker spec/examples/worker.c -lm  &&  sparseref conform --cmd ./worker
 *
 * One request a line on stdin, one reply a line on stdout.  Sums of float32 are kept in float32, and declared so.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JSON: a tree whose nodes are siblings in a list; objects give their members a key ------------------------------- */

typedef struct Json {
    char kind;                 /* '{' '[' '"' '0' for a number, 't' 'f' 'n' */
    const char *key, *text;    /* text: of a string or a number */
    struct Json *child, *next;
    long count;                /* of children */
} Json;

static char *at;               /* where the reader is; the line is cut into strings in place */

static void *room(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        abort();
    return memory;
}

static void skip(void)
{
    while (isspace((unsigned char)*at))
        at++;
}

static char *string(void)      /* no escapes are needed: the protocol's strings are names and numbers */
{
    char *begin = ++at;
    at += strcspn(at, "\"");
    *at++ = 0;
    return begin;
}

static Json *parse(void)
{
    Json *node = room(1, sizeof *node), **tail = &node->child;
    skip();
    if (*at == '{' || *at == '[') {
        node->kind = *at++;
        for (skip(); *at && *at != '}' && *at != ']'; skip()) {
            char *key = NULL;
            if (node->kind == '{') {
                key = string();
                skip();
                at++;                                   /* the colon */
            }
            *tail = parse();
            (*tail)->key = key;
            tail = &(*tail)->next;
            node->count++;
            skip();
            if (*at == ',')
                at++;
        }
        at++;
    } else if (*at == '"') {
        node->kind = '"';
        node->text = string();
    } else {
        node->kind = strchr("tfn", *at) ? *at : '0';
        node->text = at;
        at += strcspn(at, ",]} \r\n");
    }
    return node;
}

static void discard(Json *node)
{
    while (node) {
        Json *next = node->next;
        discard(node->child);
        free(node);
        node = next;
    }
}

static Json *get(const Json *object, const char *key)
{
    Json *member = object->child;
    while (member && strcmp(member->key, key))
        member = member->next;
    return member;
}

static Json *item(const Json *list, long index)
{
    Json *node = list->child;
    while (node && index--)
        node = node->next;
    return node;
}

static bool is(const Json *node, const char *text) { return node && node->kind == '"' && !strcmp(node->text, text); }
static long whole(const Json *node) { return strtol(node->text, NULL, 10); }

/* {"dtype", "shape", "data"} -> its numbers: floats are hex strings, which strtod reads without losing a bit */
static double *numbers(const Json *array)
{
    double *found = room((size_t)get(array, "data")->count, sizeof *found);
    long i = 0;
    for (const Json *x = get(array, "data")->child; x; x = x->next)
        found[i++] = strtod(x->text, NULL);
    return found;
}

static long product(const Json *shape, long axes)
{
    long sides = 1;
    for (long i = 0; i < axes; i++)
        sides *= whole(item(shape, i));
    return sides;
}

/* ---- Replies --------------------------------------------------------------------------------------------------------- */

static void refuse(const char *clause, const char *message)
{
    printf("\"error\": {\"clause\": \"%s\", \"message\": \"%s\"}", clause, message);
}

static void put_shape(const Json *shape, long axes, long more)          /* the first axes of a shape, then one more side */
{
    for (long i = 0; i < axes; i++)
        printf("%s%ld", i ? ", " : "", whole(item(shape, i)));
    if (more >= 0)
        printf("%s%ld", axes ? ", " : "", more);
}

static void put_numbers(const double *values, long count)
{
    for (long i = 0; i < count; i++)
        if (isnan(values[i]))
            printf("%s\"nan\"", i ? ", " : "");
        else
            printf("%s\"%a\"", i ? ", " : "", values[i]);
}

/* ---- The operations -------------------------------------------------------------------------------------------------- */

static double narrow(double value, bool single) { return single ? (float)value : value; }

/* A csr matrix spelt out: value [R, C], stored [R, C] */
typedef struct Matrix {
    long rows, columns;
    double *value;
    bool *stored;
} Matrix;

static Matrix spell_out(const Json *a)
{
    const Json *arrays = get(a, "arrays"), *shape = get(a, "shape");
    bool single = is(get(a, "dtype"), "float32");
    double *indptr = numbers(get(arrays, "indptr")), *columns = numbers(get(arrays, "indices"));
    double *values = numbers(get(arrays, "values"));
    Matrix m = {.rows = whole(item(shape, 0)), .columns = whole(item(shape, 1))};
    m.value = room((size_t)(m.rows * m.columns), sizeof *m.value);
    m.stored = room((size_t)(m.rows * m.columns), sizeof *m.stored);
    for (long r = 0; r < m.rows; r++)
        for (long slot = (long)indptr[r]; slot < (long)indptr[r + 1]; slot++) {
            long i = r * m.columns + (long)columns[slot];                 /* duplicates add up in slot order (CORE-V2) */
            m.value[i] = m.stored[i] ? narrow(m.value[i] + values[slot], single) : values[slot];
            m.stored[i] = true;
        }
    free(indptr), free(columns), free(values);
    return m;
}

static void decode(const Json *a)
{
    const Json *shape = get(a, "shape");
    printf("\"result\": {\"dtype\": \"%s\", \"shape\": [", get(a, "dtype")->text);
    put_shape(shape, shape->count, -1);
    printf("], \"data\": [");
    if (is(get(a, "layout"), "dense")) {
        double *values = numbers(get(get(a, "arrays"), "values"));
        put_numbers(values, product(shape, shape->count));
        free(values);
    } else {
        Matrix m = spell_out(a);
        put_numbers(m.value, m.rows * m.columns);
        free(m.value), free(m.stored);
    }
    printf("]}");
}

static bool is_array(const Json *array, const char *dtype, long size)
{
    const Json *shape = get(array, "shape");
    return is(get(array, "dtype"), dtype) && shape->count == 1 && whole(item(shape, 0)) == size;
}

static void validate(const Json *a)
{
    const Json *arrays = get(a, "arrays"), *shape = get(a, "shape");
    const Json *indptr = get(arrays, "indptr"), *indices = get(arrays, "indices"), *values = get(arrays, "values");
    if (shape->count != 2) {
        refuse("CSR-C1", "csr describes matrices");
        return;
    }
    if (arrays->count != 3 || !indptr || !indices || !values) {
        refuse("CORE-A1", "the fields are not indptr, indices and values");
        return;
    }
    const char *coordinate = product(shape, 2) < 2147483648L ? "int32" : "int64";
    long rows = whole(item(shape, 0)), columns = whole(item(shape, 1)), count = get(indices, "data")->count;
    if (!is_array(indptr, coordinate, rows + 1) || !is_array(indices, coordinate, count)
        || !is_array(values, get(a, "dtype")->text, count)) {
        refuse("CORE-A2", "a field has the wrong dtype or shape");
        return;
    }
    double *pointer = numbers(indptr), *column = numbers(indices);
    bool marks = pointer[0] == 0 && pointer[rows] == count, inside = true;
    for (long r = 0; r < rows; r++)
        marks = marks && pointer[r] <= pointer[r + 1];
    for (long slot = 0; slot < count; slot++)
        inside = inside && 0 <= column[slot] && column[slot] < columns;
    free(pointer), free(column);
    if (!marks)
        refuse("CSR-C2", "indptr does not mark off the slots");
    else if (!inside)
        refuse("CSR-C3", "an index lies outside the array");
    else
        printf("\"result\": null");
}

/* x [N, K], w csr [O, K], bias [O] or null -> y [N, O]; only stored entries of w are read (CORE-P2) */
static void linear(const Json *x, const Json *w, const Json *bias)
{
    const Json *dtype = get(w, "dtype"), *shape = get(x, "shape");
    long lead = shape->count - 1, outputs = whole(item(get(w, "shape"), 0)), width = whole(item(get(w, "shape"), 1));
    bool biased = bias && bias->kind == '{', single = is(dtype, "float32");
    if (!is(get(x, "dtype"), dtype->text) || (biased && !is(get(bias, "dtype"), dtype->text))) {
        refuse("CORE-D2", "the dtypes differ");
        return;
    }
    if (biased && get(bias, "layout")) {
        refuse("OPS-5", "the bias is a plain array");
        return;
    }
    if (lead < 0 || whole(item(shape, lead)) != width || (biased && !is_array(bias, dtype->text, outputs))) {
        refuse("LINEAR-2", "the shapes do not fit a linear layer");
        return;
    }
    long tokens = product(shape, lead);
    double *in = numbers(x), *shift = biased ? numbers(bias) : room((size_t)outputs, sizeof *shift);
    double *out = room((size_t)(tokens * outputs), sizeof *out);
    Matrix m = spell_out(w);
    for (long n = 0; n < tokens; n++)
        for (long o = 0; o < outputs; o++) {
            double sum = 0;
            for (long k = 0; k < width; k++)
                if (m.stored[o * width + k])
                    sum = narrow(sum + narrow(in[n * width + k] * m.value[o * width + k], single), single);
            out[n * outputs + o] = narrow(sum + shift[o], single);
        }
    printf("\"result\": {\"dtype\": \"%s\", \"shape\": [", dtype->text);
    put_shape(shape, lead, outputs);
    printf("], \"data\": [");
    put_numbers(out, tokens * outputs);
    printf("]}");
    free(in), free(shift), free(out), free(m.value), free(m.stored);
}

static void introduce(void)
{
    const char *cells[] = {"\"decode\", \"layouts\": [\"dense\"]", "\"decode\", \"layouts\": [\"csr\"]",
                           "\"validate\", \"layouts\": [\"csr\"]", "\"linear\", \"layouts\": [\"array\", \"csr\"]"};
    printf("\"name\": \"example-c\", \"version\": \"1\", ");
    printf("\"accumulators\": {\"float32\": \"float32\", \"float64\": \"float64\"}, ");
    for (size_t i = 0; i < sizeof cells / sizeof *cells; i++)
        printf("%s{\"operation\": %s, \"dtypes\": [\"float32\", \"float64\"]}", i ? ", " : "\"cells\": [", cells[i]);
    printf("]");
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        at = line;
        Json *request = parse(), *call = get(request, "call"), *operands = call ? get(call, "operands") : NULL;
        printf("{\"id\": %ld, ", whole(get(request, "id")));
        if (!call)
            introduce();
        else if (is(get(call, "operation"), "decode"))
            decode(item(operands, 0));
        else if (is(get(call, "operation"), "validate"))
            validate(item(operands, 0));
        else
            linear(item(operands, 0), item(operands, 1), item(operands, 2));
        printf("}\n");
        fflush(stdout);
        discard(request);
    }
    free(line);
    return 0;
}
