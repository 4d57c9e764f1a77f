/**
 * @file clora/tokenizer.h
 * @brief Tier 3: text to token ids and back, as a model's tokenizer.json says.
 *
 * Byte-level BPE (GPT-2, Llama 3, SmolLM) and SentencePiece-style BPE with byte fallback (Llama 2, TinyLlama) are read;
 * ids are those of Hugging Face's `tokenizers` package (docs/formats.md lists what is known to differ). A tokenizer
 * never changes after loading: any number of threads may use it at once.
 */
#ifndef CLORA_TOKENIZER_H
#define CLORA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A loaded tokenizer. Immutable; shareable between threads. */
typedef struct clora_tokenizer clora_tokenizer;

/** Turns ids into text one at a time. One thread at a time. */
typedef struct clora_decoder clora_decoder;

/**
 * Read tokenizer.json and, where it is there, tokenizer_config.json of a model directory.
 *
 * @param[out] out              yours to free
 * @param[in]  model_directory  a Hugging Face model directory
 *
 * @return CLORA_ERROR_NOT_FOUND without a tokenizer.json, CLORA_ERROR_FORMAT for a broken one, CLORA_ERROR_UNSUPPORTED
 *         for a component that clora does not know (the message names it).
 */
CLORA_API clora_status clora_tokenizer_load(clora_tokenizer **out, const char *model_directory);

/** Free a tokenizer; NULL is allowed. Its decoders keep it until they are freed. */
CLORA_API void clora_tokenizer_free(clora_tokenizer *tokenizer);

/**
 * Text to ids.
 *
 * @param[in]  text     valid UTF-8; may hold NUL
 * @param[in]  size     bytes of text
 * @param[in]  special  1: with what the post-processor puts around a text (a bos for Llama); 0: without
 * @param[out] ids      (count)  yours to free(); never NULL on success
 * @param[out] count    number of ids
 *
 * Special tokens that are written in the text ("<s>") become their ids in both cases. A character that the vocabulary
 * cannot express is left out, see clora_tokenizer_count_dropped().
 *
 * @return CLORA_ERROR_FORMAT for a text that is not UTF-8 (the message gives the byte's offset), and for a tokenizer
 *         whose normalizer or pre-tokenizer makes far too much of a text (docs/formats.md; the message names it).
 */
CLORA_API clora_status clora_tokenizer_encode(const clora_tokenizer *tokenizer, const char *text, size_t size,
                                              int special, int32_t **ids, size_t *count);

/**
 * How many characters (of byte-level vocabularies: bytes) of a text clora_tokenizer_encode() leaves out, because the
 * vocabulary has no token for them, no byte tokens and no unknown token. Costs as much as encoding where the vocabulary
 * has such gaps, and nothing where it has none.
 *
 * @param[in]  text     valid UTF-8, size bytes
 * @param[out] dropped  0 when the ids say everything
 */
CLORA_API clora_status clora_tokenizer_count_dropped(const clora_tokenizer *tokenizer, const char *text, size_t size,
                                                     size_t *dropped);

/**
 * Ids to text.
 *
 * @param[in]  ids           (count)  ids that the tokenizer does not have are passed over
 * @param[in]  skip_special  1: special tokens (bos, eos) leave nothing in the text
 * @param[out] text          yours to free(); valid UTF-8, zero-terminated besides (it may hold NUL inside); bytes that
 *                           form no character become U+FFFD
 * @param[out] size          bytes of text
 *
 * @return CLORA_ERROR_FORMAT for a tokenizer whose decoder makes far too much of the tokens; so do decoders below.
 */
CLORA_API clora_status clora_tokenizer_decode(const clora_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                              int skip_special, char **text, size_t *size);

/**
 * A decoder that continues a prompt: the pieces it gives are, together, the text of prompt and new ids without what it
 * has in common with the text of the prompt alone. Special tokens are skipped.
 *
 * @param[out] out        yours to free
 * @param[in]  tokenizer  kept until the decoder is freed
 * @param[in]  prompt     (count)  may be NULL when count is 0
 */
CLORA_API clora_status clora_decoder_create(clora_decoder **out, const clora_tokenizer *tokenizer,
                                            const int32_t *prompt, size_t count);

/** Free a decoder; NULL is allowed. */
CLORA_API void clora_decoder_free(clora_decoder *decoder);

/**
 * Take one id and give the text that is certain by now: whole characters, possibly none.
 *
 * @param[out] text  size bytes, borrowed: valid until the decoder's next call; not zero-terminated
 */
CLORA_API clora_status clora_decoder_push(clora_decoder *decoder, int32_t id, const char **text, size_t *size);

/** Give what is still held back, half a character as U+FFFD; nothing may be pushed afterwards. */
CLORA_API clora_status clora_decoder_flush(clora_decoder *decoder, const char **text, size_t *size);

/** One more than the highest id, added tokens included. */
CLORA_API int32_t clora_tokenizer_vocab_size(const clora_tokenizer *tokenizer);

/**
 * The id that begins a sequence: what the post-processor puts in front, else tokenizer_config.json's bos_token; -1 when
 * there is none.
 */
CLORA_API int32_t clora_tokenizer_bos(const clora_tokenizer *tokenizer);

/** tokenizer_config.json's eos_token, -1 when there is none. */
CLORA_API int32_t clora_tokenizer_eos(const clora_tokenizer *tokenizer);

/**
 * 1 when a sequence begins with clora_tokenizer_bos(): the post-processor of tokenizer.json decides, without one
 * add_bos_token of tokenizer_config.json, where its tokenizer_class is one of Llama's or is not named.
 */
CLORA_API int clora_tokenizer_adds_bos(const clora_tokenizer *tokenizer);

/** 1 when decoding with skip_special leaves this id out. */
CLORA_API int clora_tokenizer_is_special(const clora_tokenizer *tokenizer, int32_t id);

/**
 * The token as the vocabulary writes it ("Ġthe"), or NULL for an id that is not there.
 *
 * @param[out] size  bytes, may be NULL; the text is zero-terminated besides. Lives as long as the tokenizer.
 */
CLORA_API const char *clora_tokenizer_token(const clora_tokenizer *tokenizer, int32_t id, size_t *size);

/** The id of a token or added token written exactly so (size bytes), or -1. */
CLORA_API int32_t clora_tokenizer_id(const clora_tokenizer *tokenizer, const char *token, size_t size);

#ifdef __cplusplus
}
#endif
#endif
