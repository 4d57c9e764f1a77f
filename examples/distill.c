/*
 * Train an adapter so that a model says what a second, better model would say (distillation): the objective is the
 * Kullback-Leibler divergence from the teacher's next ids to the student's, instead of the likelihood of the data's.
 * Both models have the same vocabulary.
 *
 *     cc distill.c $(pkg-config --cflags --libs clora) -lm -o distill
 *     ./distill STUDENT TEACHER data/train.jsonl my-adapter
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/clora.h>

#define TRY(call)               \
    do {                        \
        if ((call) != CLORA_OK) \
            goto failed;        \
    } while (0)

typedef struct teacher {
    clora_session *session; /* of `batch` sequences */
    int batch, vocab;
    int32_t *ids;                     /* of a batch of the student's */
    float *logits, *student, *losses; /* of all places of a batch: the teacher's, and room for the student's */
} teacher;

/* The teacher's logits for a batch. Padding is on the right, where it changes nothing before it. */
static clora_status ask(teacher *t, const clora_objective_rows *rows) {
    memset(t->ids, 0, (size_t)t->batch * (size_t)rows->T * sizeof(*t->ids));
    memcpy(t->ids, rows->ids, (size_t)rows->B * (size_t)rows->T * sizeof(*t->ids));
    clora_session_reset(t->session);
    return clora_session_forward(t->session, t->logits, t->ids, rows->T, 1);
}

/* log sum exp of logits */
static double log_sum(const float *x, int n) {
    double most = (double)x[0], sum = 0.0;

    for (int i = 1; i < n; i++)
        most = fmax(most, (double)x[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* The sum of p * log(p / q), where q are the student's probabilities and p the teacher's. The student's logits become
 * its gradient, q - p. */
static float divergence(float *student, const float *teacher, int n) {
    const double student_sum = log_sum(student, n), teacher_sum = log_sum(teacher, n);
    double sum = 0.0;

    for (int i = 0; i < n; i++) {
        const double log_q = (double)student[i] - student_sum, log_p = (double)teacher[i] - teacher_sum;
        sum += exp(log_p) * (log_p - log_q);
        student[i] = (float)(exp(log_q) - exp(log_p));
    }
    return (float)sum;
}

/* The objective: some rows of a batch, of which those with a target count. */
static clora_status distill(void *user, const clora_objective_rows *rows) {
    teacher *t = user;
    const size_t vocab = (size_t)t->vocab;
    clora_status status = CLORA_OK;

    if (rows->rows[0] == 0) /* a new batch */
        status = ask(t, rows);
    if (status == CLORA_OK)
        status = clora_tensor_read(rows->logits, t->student);
    if (status != CLORA_OK)
        return status;
    for (int i = 0; i < rows->count; i++) {
        float *student = t->student + (size_t)i * vocab;
        t->losses[i] = 0.0f;
        if (rows->targets[i] < 0)
            memset(student, 0, vocab * sizeof(*student));
        else
            t->losses[i] = divergence(student, t->logits + (size_t)rows->rows[i] * vocab, t->vocab);
    }
    status = clora_tensor_write(rows->logits, t->student);
    return status == CLORA_OK ? clora_tensor_write(rows->loss, t->losses) : status;
}

static int on_step(void *user, const clora_train_step *step) {
    (void)user;
    if (step->step == 1 || step->step % 50 == 0 || step->step == step->steps)
        printf("step %d of %d: divergence %.4f\n", step->step, step->steps, (double)step->loss);
    return 0;
}

/* Room for batches of so many sequences; 0 without memory. */
static int teacher_init(teacher *t, int vocab, int batch, int longest) {
    const size_t places = (size_t)batch * (size_t)longest, logits = places * (size_t)vocab;

    *t = (teacher){.batch = batch,
                   .vocab = vocab,
                   .ids = calloc(places, sizeof(int32_t)),
                   .logits = calloc(logits, sizeof(float)),
                   .student = calloc(logits, sizeof(float)),
                   .losses = calloc(places, sizeof(float))};
    return t->ids && t->logits && t->student && t->losses;
}

static void teacher_finish(teacher *t) {
    clora_session_free(t->session);
    free(t->ids);
    free(t->logits);
    free(t->student);
    free(t->losses);
}

int main(int argc, char **argv) {
    clora_train_options train = CLORA_TRAIN_OPTIONS_INIT;
    clora_objective objective = CLORA_OBJECTIVE_INIT;
    clora_context *context = NULL;
    clora_model *student = NULL, *second = NULL;
    clora_tokenizer *tokenizer = NULL;
    clora_dataset *pairs = NULL;
    clora_adapter *adapter = NULL;
    teacher t = {0};
    int status = EXIT_FAILURE;

    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: %s STUDENT TEACHER PAIRS OUT [STEPS]\n", argv[0]);
        return status;
    }
    TRY(clora_inspect_output(argv[4])); /* before the work, not after it */
    TRY(clora_context_create(&context, NULL));
    TRY(clora_model_load(&student, context, argv[1], NULL));
    TRY(clora_model_load(&second, context, argv[2], NULL));
    if (clora_model_get_info(student)->vocab != clora_model_get_info(second)->vocab) {
        fprintf(stderr, "the two models have different vocabularies\n");
        goto finish;
    }
    TRY(clora_tokenizer_load(&tokenizer, argv[1]));
    clora_dataset_options data = CLORA_DATASET_OPTIONS_INIT;
    data.max_length = clora_model_get_info(student)->max_positions;
    TRY(clora_dataset_load(&pairs, argv[3], tokenizer, &data));
    const int longest = clora_dataset_get_stats(pairs)->longest;
    if (!teacher_init(&t, clora_model_get_info(second)->vocab, train.batch_size, longest)) {
        fprintf(stderr, "no memory for the teacher's logits\n");
        goto finish;
    }
    TRY(clora_session_create(&t.session, second, train.batch_size, longest));
    TRY(clora_adapter_create(&adapter, student, NULL));

    objective.function = distill;
    objective.user = &t;
    train.objective = &objective;
    train.lr = 1e-3f;
    train.steps = argc == 6 ? atoi(argv[5]) : 0; /* 0: as many as the data has */
    TRY(clora_train(student, adapter, pairs, &train, on_step, NULL));
    TRY(clora_adapter_save(adapter, argv[4], NULL));
    status = EXIT_SUCCESS;
failed:
    if (status != EXIT_SUCCESS)
        fprintf(stderr, "%s\n", clora_last_error());
finish:
    teacher_finish(&t);
    clora_adapter_free(adapter);
    clora_dataset_free(pairs);
    clora_tokenizer_free(tokenizer);
    clora_model_free(second);
    clora_model_free(student);
    clora_context_free(context);
    return status;
}
