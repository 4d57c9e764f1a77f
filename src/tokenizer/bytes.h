#ifndef CLORA_TOKENIZER_BYTES_H
#define CLORA_TOKENIZER_BYTES_H

#include "tokenizer/text_buffer.h"

/*
 * GPT-2's alphabet: every byte is written as a visible character, so that any text is a string of them. Printable
 * Latin-1 stands for itself, the other 68 bytes follow from U+0100 up.
 */
uint32_t byte_character(unsigned char byte);
int byte_of_character(uint32_t c); /* -1 for a character outside the alphabet */

/* Append the bytes of a text, each as its character; and how many bytes that appends. */
clora_status bytes_map(text_buffer *out, const char *text, size_t size);
size_t bytes_mapped_size(const char *text, size_t size);

#endif
