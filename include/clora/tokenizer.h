/**
 * @file clora/tokenizer.h
 * @brief Tier 3: text to token ids and back, as a model's tokenizer.json or tokenizer.model says.
 *
 * Byte-level BPE (GPT-2, Llama 3, SmolLM), SentencePiece-style BPE with byte fallback (Llama 2, Gemma) and Unigram (T5,
 * XLNet) are read; ids are those of Hugging Face's `tokenizers` package (docs/formats.md lists the components). A
 * tokenizer never changes after loading: any number of threads may use it at once.
 */
#ifndef CLORA_TOKENIZER_H
#define CLORA_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** A loaded tokenizer. Immutable; shareable between threads. */
typedef struct clora_tokenizer clora_tokenizer;

/** Turns ids into text one at a time. One thread at a time. */
typedef struct clora_decoder clora_decoder;

/**
 * Read tokenizer.json, where it is not there tokenizer.model (SentencePiece's BPE and Unigram), and
 * tokenizer_config.json of a model directory.
 *
 * @param[out] out              yours to free with clora_tokenizer_free()
 * @param[in]  model_directory  a Hugging Face model directory
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND without either of the first two, CLORA_ERROR_FORMAT for a broken one,
 * CLORA_ERROR_UNSUPPORTED for a component that clora does not know (the message names it)
 */
CLORA_API clora_status clora_tokenizer_load(clora_tokenizer **out, const char *model_directory);

/**
 * Free a tokenizer. Its decoders keep it until they are freed.
 *
 * @param[in] tokenizer  NULL is allowed
 */
CLORA_API void clora_tokenizer_free(clora_tokenizer *tokenizer);

/**
 * Text to ids. Any thread.
 *
 * Special tokens that are written in the text ("<s>") become their ids in both cases. A character that the vocabulary
 * cannot express is left out, see clora_tokenizer_count_dropped().
 *
 * @param[in]  tokenizer  not NULL
 * @param[in]  text       size bytes of valid UTF-8; may hold NUL
 * @param[in]  size       bytes of text
 * @param[in]  special    1: with what the post-processor puts around a text (a bos for Llama); 0: without
 * @param[out] ids        (count)  yours to free with free(); never NULL on success
 * @param[out] count      number of ids
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT for a text that is not UTF-8 (the message gives the byte's offset), and for a
 * tokenizer whose normalizer or pre-tokenizer makes far too much of a text (docs/formats.md; the message names it)
 */
CLORA_API clora_status clora_tokenizer_encode(const clora_tokenizer *tokenizer, const char *text, size_t size,
                                              int special, int32_t **ids, size_t *count);

/**
 * Count the characters (of byte-level vocabularies: bytes) of a text that clora_tokenizer_encode() leaves out, because
 * the vocabulary has no token for them, no byte tokens and no unknown token. Costs as much as encoding where the
 * vocabulary has such gaps, and nothing where it has none.
 *
 * @param[in]  tokenizer  not NULL
 * @param[in]  text       size bytes of valid UTF-8
 * @param[in]  size       bytes of text
 * @param[out] dropped    0 when the ids say everything
 *
 * @return as clora_tokenizer_encode()
 */
CLORA_API clora_status clora_tokenizer_count_dropped(const clora_tokenizer *tokenizer, const char *text, size_t size,
                                                     size_t *dropped);

/**
 * Ids to text. Any thread.
 *
 * @param[in]  tokenizer     not NULL
 * @param[in]  ids           (count)  ids that the tokenizer does not have are passed over
 * @param[in]  count         number of ids
 * @param[in]  skip_special  1: special tokens (bos, eos) leave nothing in the text
 * @param[out] text          yours to free with free(); valid UTF-8, zero-terminated besides (it may hold NUL inside);
 *                           bytes that form no character become U+FFFD
 * @param[out] size          bytes of text, without the zero
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT for a tokenizer whose decoder makes far too much of the tokens
 */
CLORA_API clora_status clora_tokenizer_decode(const clora_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                              int skip_special, char **text, size_t *size);

/**
 * Make a decoder that continues a prompt: the pieces it gives are, together, the text of prompt and new ids without
 * what it has in common with the text of the prompt alone. Special tokens are skipped.
 *
 * @param[out] out        yours to free with clora_decoder_free()
 * @param[in]  tokenizer  kept until the decoder is freed
 * @param[in]  prompt     (count)  used during the call; may be NULL when count is 0
 * @param[in]  count      ids of the prompt
 *
 * @return as clora_tokenizer_decode()
 */
CLORA_API clora_status clora_decoder_create(clora_decoder **out, const clora_tokenizer *tokenizer,
                                            const int32_t *prompt, size_t count);

/**
 * Free a decoder.
 *
 * @param[in] decoder  NULL is allowed
 */
CLORA_API void clora_decoder_free(clora_decoder *decoder);

/**
 * Take one id and give the text that is certain by now: whole characters, possibly none.
 *
 * @param[in,out] decoder  takes the id
 * @param[in]     id       the next id
 * @param[out]    text     size bytes, borrowed: valid until the decoder's next call; not zero-terminated
 * @param[out]    size     bytes of text
 *
 * @return as clora_tokenizer_decode()
 */
CLORA_API clora_status clora_decoder_push(clora_decoder *decoder, int32_t id, const char **text, size_t *size);

/**
 * Give what is still held back, half a character as U+FFFD. Nothing may be pushed afterwards.
 *
 * @param[in,out] decoder  at its end
 * @param[out]    text     size bytes, borrowed: valid until the decoder is freed; not zero-terminated
 * @param[out]    size     bytes of text
 *
 * @return as clora_tokenizer_decode()
 */
CLORA_API clora_status clora_decoder_flush(clora_decoder *decoder, const char **text, size_t *size);

/**
 * Size of the vocabulary.
 *
 * @param[in] tokenizer  NULL: 0
 *
 * @return one more than the highest id, added tokens included
 */
CLORA_API int32_t clora_tokenizer_vocab_size(const clora_tokenizer *tokenizer);

/**
 * The id that begins a sequence.
 *
 * @param[in] tokenizer  NULL: -1
 *
 * @return what the post-processor puts before a text, else tokenizer_config.json's bos_token; -1 when there is none
 */
CLORA_API int32_t clora_tokenizer_bos(const clora_tokenizer *tokenizer);

/**
 * The id that ends a sequence.
 *
 * @param[in] tokenizer  NULL: -1
 *
 * @return tokenizer_config.json's eos_token, -1 when there is none
 */
CLORA_API int32_t clora_tokenizer_eos(const clora_tokenizer *tokenizer);

/**
 * Does a sequence begin with clora_tokenizer_bos()? The post-processor of tokenizer.json decides, without one
 * add_bos_token of tokenizer_config.json, where its tokenizer_class is one of Llama's or is not named. With a
 * tokenizer.model it does unless add_bos_token is false.
 *
 * @param[in] tokenizer  NULL: 0
 *
 * @return 1 or 0
 */
CLORA_API int clora_tokenizer_adds_bos(const clora_tokenizer *tokenizer);

/**
 * Does decoding with skip_special leave this id out?
 *
 * @param[in] tokenizer  NULL: 0
 * @param[in] id         any number
 *
 * @return 1 or 0
 */
CLORA_API int clora_tokenizer_is_special(const clora_tokenizer *tokenizer, int32_t id);

/**
 * The token as the vocabulary writes it ("Ġthe").
 *
 * @param[in]  tokenizer  NULL: NULL
 * @param[in]  id         any number
 * @param[out] size       bytes of the token; NULL is allowed
 *
 * @return zero-terminated besides; borrowed, lives as long as the tokenizer; NULL for an id that is not there
 */
CLORA_API const char *clora_tokenizer_token(const clora_tokenizer *tokenizer, int32_t id, size_t *size);

/**
 * The id of a token or added token that is written exactly so.
 *
 * @param[in] tokenizer  NULL: -1
 * @param[in] token      size bytes; NULL: -1
 * @param[in] size       bytes of token
 *
 * @return the id, -1 when there is none
 */
CLORA_API int32_t clora_tokenizer_id(const clora_tokenizer *tokenizer, const char *token, size_t size);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
