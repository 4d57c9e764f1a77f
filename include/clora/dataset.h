/**
 * @file clora/dataset.h
 * @brief Tier 3: token sequences to learn from, made of context-target pairs.
 *
 * A pair becomes the sequence [BOS] context target [EOS], of which the target and the EOS are target tokens. The BOS is
 * there when the tokenizer adds one. Texts that hold the BOS or the EOS at that end already ("<s>", "</s>") get no
 * second one. The first id of a sequence is never predicted.
 *
 * Context and target have the ids of one text where a token ends with the context; where one would cross the border,
 * the two are encoded apart. Nothing is put between them: the blank that SentencePiece-style tokenizers put first
 * belongs to the whole text (docs/formats.md).
 */
#ifndef CLORA_DATASET_H
#define CLORA_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include <clora/chat.h>
#include <clora/status.h>
#include <clora/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** Sequences of token ids, each a target token or not. Never changes: any number of threads may read it at once. */
typedef struct clora_dataset clora_dataset;

/** What the rows of a data file are. */
typedef enum clora_data_kind {
    CLORA_DATA_PAIRS = 0,               /**< a context and a target */
    CLORA_DATA_PREFERENCE = 1,          /**< a prompt and two answers to it, of which one is preferred */
    CLORA_DATA_UNPAIRED_PREFERENCE = 2, /**< a prompt, an answer to it and whether that is desirable */
    CLORA_DATA_LABELS = 3               /**< a text and the name of its label */
} clora_data_kind;

/** What is put around the two texts of a pair. */
typedef enum clora_pair_template {
    CLORA_PAIR_PLAIN = 0,  /**< nothing: the target follows the context */
    CLORA_PAIR_ALPACA = 1, /**< Stanford Alpaca's text, with or without an input */
    CLORA_PAIR_CHAT = 2    /**< options.chat: what a user says and what the assistant answers */
} clora_pair_template;

/** How pairs become sequences. */
typedef struct clora_dataset_options {
    size_t size;               /**< of this struct, as the caller knows it */
    int max_length;            /**< longest sequence in ids, bos and eos included; at least 2 (default 512) */
    int learn_context;         /**< 1: the context is a target too (default 0) */
    int eos;                   /**< 1: sequences end with the eos; 0: they do not (default 1) */
    const char *columns;       /**< tables: "CONTEXT,TARGET", or "TARGET" alone (default NULL: "context,target") */
    int32_t eos_id;            /**< the eos to use; -1: the tokenizer's (default -1) */
    clora_data_kind kind;      /**< what the rows are (default CLORA_DATA_PAIRS) */
    const char *const *labels; /**< of texts with labels: the names that there may be, NULL-terminated, such as those of
                                    an adapter (default NULL: all that the file has, sorted) */
    const clora_chat *chat;    /**< of conversations: the template that makes them text; used during the call (default
                                    NULL: a conversation is an error) */
    const char
        *keys; /**< JSON: "CONTEXT,TARGET", or "TARGET" alone, where rows have keys of their own (default NULL) */
    clora_pair_template
        pair_template; /**< of pairs; of preferences CLORA_PAIR_CHAT says that all rows are lists of messages (default
                                          CLORA_PAIR_PLAIN) */
    int stream;        /**< 1: sequences are kept in a file of the cache directory and not in memory (default 0) */
} clora_dataset_options;

/** The defaults of clora_dataset_options. */
#define CLORA_DATASET_OPTIONS_INIT \
    { sizeof(clora_dataset_options), 512, 0, 1, NULL, -1, CLORA_DATA_PAIRS, NULL, NULL, NULL, CLORA_PAIR_PLAIN, 0 }

/** What is in a dataset, and what did not fit into it. */
typedef struct clora_dataset_stats {
    int64_t sequences;          /**< number of sequences */
    int64_t tokens;             /**< ids of all sequences */
    int64_t target_tokens;      /**< of these, those that count in the loss */
    int64_t truncated_contexts; /**< pairs whose context lost ids from its left */
    int64_t truncated_targets;  /**< pairs whose target lost ids from its right, and the eos */
    int64_t left_out;           /**< last windows of a text that were one id long, with nothing to learn */
    int64_t dropped;            /**< characters or bytes that the vocabulary cannot express */
    int longest;                /**< ids of the longest sequence */
    int32_t largest_id;         /**< must be below the model's vocabulary size */
    int64_t skipped; /**< pairs with nothing to learn, such as an empty target without an eos: they are no sequences,
                          so that every batch has something to learn */
    int64_t empty_targets; /**< pairs of whose sequence the EOS alone is a target token: their target gives no ids */
    int64_t own_bos;       /**< texts that begin with the bos as they are: none was added */
    int64_t own_eos;       /**< texts that end with the eos as they are: none was added */
    int64_t long_prompts;  /**< rows of preferences whose prompt alone fills max_length: they are no sequences */
    int longest_row; /**< ids of the longest row of a batch: of the longest sequence, of pairs of answers a prompt and
                          both, of single answers the longest prompt and answer, for they are also mismatched */
    int64_t glued;   /**< pairs without a blank or a line's end where their two texts meet */
} clora_dataset_stats;

/**
 * Read a data file: all of it, or nothing at the first line that is wrong.
 *
 * The end of the name decides how it is read. Text is UTF-8 without NUL; lines end in LF or CR LF.
 *
 * - `.jsonl`, `.ndjson`, `.json`: an object a line, or one array of objects over any number of lines. An object has the
 * strings "context" and "target"; or "prompt" and "completion"; or "instruction" and "output", where a non-empty
 * "input" joins the instruction on a new line; or "question" and "answer"; or "text", a target with an empty context;
 * or what `keys` names. All rows of a file have one form. Other keys are ignored, blank lines are skipped. An object
 * with "messages" or "conversations", or with lists of messages as "prompt" and "completion", is a conversation
 * (clora_chat_encode()): its text is the chat template's, without a bos or an eos that the template does not write, and
 * the targets are the assistant's turns, or the completion. One longer than max_length loses ids from its right.
 * - `.csv`, `.tsv`: RFC 4180 with a header row; commas, semicolons or tabs separate columns, as the header row tells;
 *   `columns` says what to read: names (in quotes as in CSV where they hold commas) or numbers from 1.
 * - `.txt`: one long text, encoded once and cut into windows of max_length ids. The first begins with the bos, the last
 *   ends with the eos, and all are target tokens but the first id of each.
 *
 * A file that gzip has packed is unpacked while it is read, whatever its name; `pairs.jsonl.gz` ends in `.jsonl`.
 *
 * `pair_template` puts something around the texts of pairs. With CLORA_PAIR_CHAT a pair is a conversation of two turns,
 * with the rules of conversations.
 *
 * Preferences are read from JSON alone. An object has the strings "prompt", "chosen" and "rejected", which become two
 * sequences side by side, the chosen one first; or, of unpaired ones, "prompt", "completion" and "label", true where
 * the completion is desirable. No answer may be empty. A sequence has the ids of prompt and answer as one text; of
 * these the answer's are those from the first on in which the prompt alone, or with the other answer, has another id.
 * They are target tokens. A sequence longer than max_length loses ids from its right; where the prompt leaves no room
 * for an answer, the row is left out, and counted. Prompt and answers may be lists of messages: then `chat` makes their
 * texts, of the prompt alone with what begins an answer, and no bos or eos is added. Without a "prompt" (or with a
 * string beside lists) the messages or characters that "chosen" and "rejected" both begin with are the prompt.
 *
 * Texts with labels are read from JSON alone. An object has the strings "text" (or "context") and "label", the name of
 * one of at least two labels. A sequence is the text with what the tokenizer puts around it; its last id learns the
 * label's number. A text longer than max_length loses ids from its right.
 *
 * A pair without target tokens is passed over; when all are such, that is an error.
 *
 * A pair that is longer than max_length loses ids from the left of its context (the bos stays); when the target alone
 * is too long, it loses ids from its right and gets no eos. The stats count all of these.
 *
 * With `stream` the ids of all sequences are written to a file in `data/` of the cache directory ($CLORA_CACHE_DIR,
 * else $XDG_CACHE_HOME/clora, else ~/.cache/clora), 8 bytes for each, in one pass over the data, and come from there
 * when they are needed: memory holds some tens of bytes for each sequence. All that is made of them is the same as
 * without. The file is of use again while data files, options, tokenizer and template are as they were; it is checked
 * before that, and rebuilt where it is not so. It may be deleted at any time. A row of JSON is read at a time; tables
 * and plain texts are in memory while they are read.
 *
 * @param[out] out        yours to free with clora_dataset_free()
 * @param[in]  path       the data file
 * @param[in]  tokenizer  used during the call
 * @param[in]  options    NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND without such a file, CLORA_ERROR_FORMAT for wrong content (the message names
 * the line) and for a file without sequences, CLORA_ERROR_UNSUPPORTED for conversations without a template,
 * CLORA_ERROR_ARGUMENT for
 * options that do not fit, CLORA_ERROR_IO when the system cannot read the file, when it changes meanwhile, and when
 * there is no place for the file of `stream`
 */
CLORA_API clora_status clora_dataset_load(clora_dataset **out, const char *path, const clora_tokenizer *tokenizer,
                                          const clora_dataset_options *options);

/** One of several data files. */
typedef struct clora_data_file {
    const char *path; /**< of the file */
    double weight;    /**< how often each of its sequences comes in an epoch; above 0, at most 1000; 1: once */
} clora_data_file;

/**
 * Read several data files as one, each as clora_dataset_load() does.
 *
 * An epoch of training has round(weight n) sequences of a file with n: all of them as often as the weight says, and of
 * a fraction as many as it leaves, by the seed. None of a file comes again before all of it have come, over the borders
 * of epochs too. Evaluation takes each sequence as often as an epoch does. Preferences have weights of 1 alone.
 *
 * @param[out] out        yours to free with clora_dataset_free()
 * @param[in]  files      (count)  the files; borrowed during the call
 * @param[in]  count      at least 1
 * @param[in]  tokenizer  used during the call
 * @param[in]  options    NULL for the defaults
 *
 * @return as clora_dataset_load(); CLORA_ERROR_ARGUMENT for a weight out of range
 */
CLORA_API clora_status clora_dataset_load_files(clora_dataset **out, const clora_data_file *files, size_t count,
                                                const clora_tokenizer *tokenizer, const clora_dataset_options *options);

/**
 * Take a part of a dataset out of it, to validate with. What is taken depends on the sequences and the seed, not on
 * their order; equal sequences are on the same side, and so are the two answers to a prompt. The files' weights stay
 * those of the rest.
 *
 * @param[out] rest     yours to free; what the stats say of the whole dataset's reading is here
 * @param[out] held     yours to free; about share of the sequences, at least one, each once
 * @param[in]  dataset  stays as it is
 * @param[in]  share    above 0 and below 1
 * @param[in]  seed     chooses
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a share out of range, and where nothing would be left on a side
 */
CLORA_API clora_status clora_dataset_split(clora_dataset **rest, clora_dataset **held, const clora_dataset *dataset,
                                           double share, uint64_t seed);

/**
 * Called with one text of a file.
 *
 * @param[in] user  as handed to clora_dataset_read_texts()
 * @param[in] text  size bytes of UTF-8, zero-terminated besides; borrowed during the call
 * @param[in] size  bytes of text
 * @param[in] line  where its row begins, from 1
 *
 * @return non-zero to stop
 */
typedef int (*clora_row_callback)(void *user, const char *text, size_t size, size_t line);

/**
 * The texts of a JSON file of rows, which is read as clora_dataset_load() does it, but row by row: for prompts to
 * continue or texts to encode.
 *
 * @param[in] path      the file, whatever its name ends in; "-": standard input
 * @param[in] prompts   1: of each row the context of its pair, by any of its names, whether the target is there or not,
 *                      else its "text"; 0: its "text"
 * @param[in] callback  called for every row in order
 * @param[in] user      handed to the callback; borrowed
 *
 * @return CLORA_OK; CLORA_CANCELLED when the callback stopped it; CLORA_ERROR_NOT_FOUND without such a file,
 * CLORA_ERROR_FORMAT for wrong content (the message names the line), after calls for the rows before it
 */
CLORA_API clora_status clora_dataset_read_texts(const char *path, int prompts, clora_row_callback callback, void *user);

/**
 * The prompts of the rows of a JSON file, as clora_dataset_load() would put them before the target. A completion
 * need not be there.
 *
 * @param[in] path      the file, whatever its name ends in; "-": standard input
 * @param[in] options   of which keys, pair_template and chat are used; NULL for the defaults. With CLORA_PAIR_CHAT a
 *                      text has all that the template writes, so that no bos is to be added
 * @param[in] callback  called for every row in order
 * @param[in] user      handed to the callback; borrowed
 *
 * @return as clora_dataset_read_texts()
 */
CLORA_API clora_status clora_dataset_read_prompts(const char *path, const clora_dataset_options *options,
                                                  clora_row_callback callback, void *user);

/**
 * The rows of a JSON file as they are, one after the other.
 *
 * @param[in] path      the file, whatever its name ends in; "-": standard input
 * @param[in] callback  called for every row in order, with its JSON text
 * @param[in] user      handed to the callback; borrowed
 *
 * @return as clora_dataset_read_texts()
 */
CLORA_API clora_status clora_dataset_read_rows(const char *path, clora_row_callback callback, void *user);

/** A pair of texts in memory. Both are UTF-8 and end with a zero. */
typedef struct clora_pair {
    const char *context; /**< borrowed; NULL: the target is a text alone, all of it */
    const char *target;  /**< borrowed */
} clora_pair;

/**
 * Make a dataset of pairs in memory, each as clora_dataset_load() makes it of a row of a file.
 *
 * @param[out] out        yours to free with clora_dataset_free()
 * @param[in]  pairs      (count)  used during the call
 * @param[in]  count      at least 1
 * @param[in]  tokenizer  used during the call
 * @param[in]  options    of pairs, without what is of files: columns, keys and stream; NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT for a text that is not UTF-8 (the message has the pair's number), and when
 * no pair has a target token; CLORA_ERROR_ARGUMENT for options that do not fit
 */
CLORA_API clora_status clora_dataset_from_pairs(clora_dataset **out, const clora_pair *pairs, size_t count,
                                                const clora_tokenizer *tokenizer, const clora_dataset_options *options);

/**
 * Make a dataset of ids that you have, for any objective.
 *
 * @param[out] out      yours to free with clora_dataset_free()
 * @param[in]  ids      the sequences one after the other; none negative; copied
 * @param[in]  labels   as many: what to predict where the id stands (not shifted), usually the id itself; a negative
 *                      label is no target token. NULL: all ids are. The first of a sequence never is.
 * @param[in]  lengths  (count)  ids of each sequence, at least 2
 * @param[in]  count    sequences, at least 1
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a negative id, a length below 2, or a sequence without target tokens
 */
CLORA_API clora_status clora_dataset_from_ids(clora_dataset **out, const int32_t *ids, const int32_t *labels,
                                              const int *lengths, size_t count);

/**
 * Free a dataset. Trainers made with it keep it until they are freed.
 *
 * @param[in] dataset  NULL is allowed
 */
CLORA_API void clora_dataset_free(clora_dataset *dataset);

/**
 * The file that a dataset's sequences come from.
 *
 * @param[in] dataset  NULL: NULL
 *
 * @return its name; borrowed, lives as long as the dataset. NULL where they are in memory
 */
CLORA_API const char *clora_dataset_file(const clora_dataset *dataset);

/**
 * Number of sequences.
 *
 * @param[in] dataset  NULL: 0
 *
 * @return the number, at least 1
 */
CLORA_API size_t clora_dataset_count(const clora_dataset *dataset);

/**
 * Totals and what was cut.
 *
 * @param[in] dataset  NULL: zeros
 *
 * @return borrowed; lives as long as the dataset
 */
CLORA_API const clora_dataset_stats *clora_dataset_get_stats(const clora_dataset *dataset);

/**
 * The names of the labels of texts.
 *
 * @param[in]  dataset  NULL: NULL
 * @param[out] count    of the names; NULL is allowed
 *
 * @return (count) names by their numbers, and a NULL; borrowed, live as long as the dataset. NULL for data of another
 * kind
 */
CLORA_API const char *const *clora_dataset_labels(const clora_dataset *dataset, size_t *count);

/**
 * Look at one sequence.
 *
 * @param[in]  dataset  NULL: 0 ids
 * @param[in]  i        below clora_dataset_count(); another: 0 ids
 * @param[out] ids      (result)  borrowed; NULL is allowed
 * @param[out] labels   (result)  borrowed: the id to predict where the id stands, -1 where that is no target token;
 *                      of texts with labels the label's number at the last id. NULL is allowed
 *
 * @return the number of ids
 */
CLORA_API int clora_dataset_sequence(const clora_dataset *dataset, size_t i, const int32_t **ids,
                                     const int32_t **labels);

/**
 * A hash of all ids and labels, which tells whether two runs trained on the same data: XXH3 of 128 bits as 32
 * hexadecimal digits.
 *
 * @param[out] out      (33)  overwritten, zero-terminated
 * @param[in]  dataset  only read
 *
 * @return CLORA_OK or CLORA_ERROR_MEMORY
 */
CLORA_API clora_status clora_dataset_hash(char *out, const clora_dataset *dataset);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
