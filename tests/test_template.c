#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "support/scratch.h"
#include "template/template.h"

/* 26 July 2024 */
static const template_options OPTIONS = {.now = 1721995200, .utc = true};

static const char VALUES[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Yo\"}, "
    "{\"role\": \"user\", \"content\": \"é日👍\"}], \"tools\": null, \"name\": \"Ada\", \"n\": 7, \"x\": 1.5, "
    "\"empty\": \"\", \"list\": [3, 1, 2], \"words\": [\"b\", \"A\", \"c\", \"a\"], \"dict\": {\"b\": 1, \"a\": [true, "
    "null, 2.0]}, \"text\": \" a,b,,c \\n\", \"rows\": [{\"k\": 2, \"s\": \"x\"}, {\"k\": 1, \"s\": \"y\"}, {\"k\": "
    "2}], \"deep\": {\"a\": {\"b\": [\"p\", \"q\"]}}, \"bos_token\": \"<s>\", \"true_\": true, \"big\": 1e+22, "
    "\"small\": 1e-07}";

/* What is written as a template gives, with those values. All texts are those of transformers 5. */
typedef struct sample {
    const char *subject, *source, *text;
} sample;

static const sample SAMPLES[] = {
    {"line ends of texts",
     "{{ 'a\\r\\nb\\x0bc\\u2028d\\n' | indent(2) }}|{{ '' | indent(2, first=true) }}|{{ "
     "'ab\\u2028c\\r\\rd\\n'.splitlines() }}",
     "a\n  b\n  c\n  d\n|  |['ab', 'c', '', 'd']"},
    {"sharp s", "{{ 'straße' | upper }} {{ 'ßa' | capitalize }}", "STRASSE Ssa"},
    {"trim_blocks", "{% if true %}\n  a\n{% endif %}\nb\n", "  a\nb"},
    {"lstrip", "x\n   {% if true %}y{% endif %}  \n  z", "x\ny  \n  z"},
    {"minus", "a  {%- if true -%}  b  {%- endif -%}  c {{- 1 -}} d", "abc1d"},
    {"plus", "a\n  {%+ if true %}b{% endif +%}\nc", "a\n  b\nc"},
    {"comments", "a {# x {{ 1 }} #}\n  {#- b -#}  c", "a c"},
    {"raw", "{% raw %}{{ x }}{% y %}{% endraw %}!", "{{ x }}{% y %}!"},
    {"last line end", "a\n\n", "a\n"},
    {"line ends", "a\r\nb\rc{{ 'x\r\ny' }}", "a\nb\ncx\ny"},
    {"braces", "{{ {'a': {'b': 1}}.a.b }}{{ '}}' }}", "1}}"},
    {"literals",
     "{{ 1 }} {{ 1.50 }} {{ 1e3 }} {{ true }} {{ none }} {{ 'a' \"b\" }} {{ [1, 'x'] }} {{ (1,) }} {{ {'k': none} }} "
     "{{ 1_000 }}",
     "1 1.5 1000.0 True None ab [1, 'x'] (1,) {'k': None} 1000"},
    {"escapes", "{{ 'a\\n\\t\\\\\\'\\x41\\u00e9\\101\\q' }}", "a\n\t\\'AéA\\q"},
    {"reals", "{{ x }} {{ big }} {{ small }} {{ 1/3 }} {{ 1e16 }} {{ 123456789.0 }} {{ 0.1 + 0.2 }} {{ -0.0 }}",
     "1.5 1e+22 1e-07 0.3333333333333333 1e+16 123456789.0 0.30000000000000004 -0.0"},
    {"repr", "{{ ['a\\'b', 'a\"b', '\\n\\x00é\\u200b\\u00a0'] }}", "[\"a'b\", 'a\"b', '\\n\\x00é\\u200b\\xa0']"},
    {"arithmetic",
     "{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 * 'ab' }} {{ [1] + [2] }} {{ -(3) "
     "}} {{ 7.5 // 2 }} {{ -7.5 % 2 }}",
     "3 3 -4 2 3.5 abab [1, 2] -3 3.0 0.5"},
    {"joined", "{{ 'a' ~ 1 ~ none ~ 1.0 ~ missing }}", "a1None1.0"},
    {"comparisons",
     "{{ 1 < 2 < 3 }} {{ 1 == 1.0 }} {{ 'a' != 'b' }} {{ 'b' > 'a' }} {{ 1 == true }} {{ [1, {'a': 2}] == [1, {'a': "
     "2}] }} {{ none == missing }}",
     "True True True True True True False"},
    {"in",
     "{{ 'b' in 'abc' }} {{ 2 in list }} {{ 'a' in dict }} {{ 'x' not in dict }} {{ 1 in missing }} {{ '' in '' }}",
     "True True True True False True"},
    {"logic", "{{ 0 or 'x' }} {{ 'a' and '' }} {{ not 1 }} {{ not 0 and 2 }} {{ missing or 3 }}", "x  False 2 3"},
    {"choice", "{{ 'a' if n > 5 else 'b' }}{{ 'c' if false }}{{ 1 if false else 2 if false else 3 }}", "a3"},
    {"precedence",
     "{{ 'a' + 'b' | upper }} {{ -5 | abs }} {{ 1 + 2 is odd }} {{ 'a' ~ 'b' in 'cab' }} {{ not 1 == 2 }}",
     "aB 5 1 True True"},
    {"attributes",
     "{{ messages[0].role }} {{ messages[-1]['content'] }} {{ deep.a.b.1 }} {{ messages[9] }}{{ dict.zz }} {{ "
     "dict['zz'] is defined }} {{ name.zz is defined }}",
     "user é日👍 q  False False"},
    {"slices",
     "{{ list[1:] }} {{ list[:-1] }} {{ list[::-1] }} {{ messages[2].content[1:] }} {{ 'abcdef'[::2] }} {{ "
     "'abcdef'[-2:] }} {{ 'abcdef'[4:1:-1] }} {{ list[5:] }} {{ messages[2].content[0] }}",
     "[1, 2] [3, 1] [2, 1, 3] 日👍 ace ef edc [] é"},
    {"methods shadow keys", "{{ {'items': 1}['items'] }} {{ {'a': 1}.items() | list }}", "1 [('a', 1)]"},
    {"for",
     "{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ "
     "loop.revindex }}{{ m.role }};{% endfor %}",
     "10TrueFalse33user;21FalseFalse32assistant;32FalseTrue31user;"},
    {"for else", "{% for x in [] %}x{% else %}none{% endfor %}{% for x in missing %}x{% else %}!{% endfor %}", "none!"},
    {"for if", "{% for x in list if x > 1 %}{{ loop.index }}:{{ x }} {% endfor %}", "1:3 2:2 "},
    {"for pairs",
     "{% for k, v in dict.items() %}{{ k }}={{ v }};{% endfor %}{% for k in dict %}{{ k }}{% endfor %}{% for c in "
     "'é日' %}{{ c }}|{% endfor %}",
     "b=1;a=[True, None, 2.0];baé|日|"},
    {"neighbours",
     "{% for x in list %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }} {% endfor %}{% for x in list %}{% if "
     "loop.nextitem is defined %}+{% endif %}{% endfor %}",
     "<3>1 3<1>2 1<2> ++"},
    {"break, continue",
     "{% for x in range(9) %}{% if x == 2 %}{% continue %}{% endif %}{% if x > 4 %}{% break %}{% endif %}{{ x }}{% "
     "endfor %}",
     "0134"},
    {"nested loops",
     "{% for a in list %}{% for b in list %}{% if b == a %}{% break %}{% endif %}{{ a }}{{ b }}{{ loop.index }} {% "
     "endfor %}{{ loop.index }}{% endfor %}",
     "1131 2231 212 3"},
    {"elif", "{% for i in range(3) %}{% if i == 0 %}a{% elif i == 1 %}b{% else %}c{% endif %}{% endfor %}", "abc"},
    {"scopes",
     "{% set a = 1 %}{% for i in list %}{% set a = a + i %}{{ a }} {% endfor %}{{ a }}{% if true %}{% set a = 9 %}{% "
     "endif %}{{ a }}",
     "4 2 3 19"},
    {"namespace",
     "{% set ns = namespace(a=1, b='x') %}{% for i in list %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b "
     "}}{{ ns.c is defined }}",
     "7xFalse"},
    {"set names", "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set t = 1, %}{{ t }}", "12(1,)"},
    {"set block", "{% set b %}x{{ n }}\n{% endset %}[{{ b }}]{% set c | trim | upper %} q {% endset %}{{ c }}",
     "[x7\n]Q"},
    {"filter block", "{% filter upper | replace('A', 'z') %}abc{{ name }}{% endfilter %}", "zBCzDz"},
    {"macro",
     "{% macro f(a, b='q', c=a) %}<{{ a }}{{ b }}{{ c }}>{% endmacro %}{{ f(1) }}{{ f(1, c=2) }}{{ f(b=3) }}{% set s = "
     "f('x') %}{{ s | length }}",
     "<1q1><1q2><3>5"},
    {"macro recursion", "{% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
     "3210"},
    {"macro scope", "{% set g = 1 %}{% macro f() %}{{ g }}{{ later }}{% endmacro %}{% set later = 2 %}{{ f() }}", "12"},
    {"generation", "a{% generation %}b{% endgeneration %}c", "abc"},
    {"tojson",
     "{{ dict | tojson }} {{ 'é\"\\n<&\\'/\\u007f\\u2028' | tojson }} {{ big | tojson }} {{ [] | tojson }} {{ {} | "
     "tojson(indent=2) }} {{ true | tojson }}",
     "{\"b\": 1, \"a\": [true, null, 2.0]} \"é\\\"\\n<&'/\177\342\200\250\" 1e+22 [] {} true"},
    {"tojson styles",
     "{{ dict | tojson(indent=2) }}{{ {'b': 1, 'a': 'é👍'} | tojson(sort_keys=true, ensure_ascii=true) }}{{ [1, 2] | "
     "tojson(separators=(',', ':')) }}{{ {1: 2, none: 3, true: 4} | tojson }}",
     "{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null,\n    2.0\n  ]\n}{\"a\": \"\\u00e9\\ud83d\\udc4d\", \"b\": "
     "1}[1,2]{\"1\": 4, \"null\": 3}"},
    {"text filters",
     "[{{ text | trim }}][{{ 'xxaxx' | trim('x') }}] {{ 'hELLO wORLD é' | capitalize }} {{ 'Straße É' | upper }} {{ "
     "'ÀB' | lower }} {{ 'a-b-c' | replace('-', '+') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 5 | string + 'x' }}",
     "[a,b,,c][a] Hello world é STRASSE É àb a+b+c bba 5x"},
    {"default",
     "{{ missing | default('d') }} {{ empty | default('d') }} {{ empty | default('d', true) }} {{ none | d('x') }}",
     "d  d None"},
    {"length",
     "{{ list | length }} {{ 'é日👍' | length }} {{ dict | count }} {{ missing | length }} {{ dict.keys() | length }}",
     "3 3 2 0 2"},
    {"list filters",
     "{{ list | sort }} {{ words | sort }} {{ words | sort(reverse=true, case_sensitive=true) }} {{ words | unique | "
     "list }} {{ list | first }} {{ list | last }} {{ list | min }} {{ list | max }} {{ list | sum }} {{ list | "
     "reverse | list }} {{ 'ab' | list }} {{ [] | first }}",
     "[1, 2, 3] ['A', 'a', 'b', 'c'] ['c', 'b', 'a', 'A'] ['b', 'A', 'c'] 3 2 1 3 6 [2, 1, 3] ['a', 'b'] "},
    {"join", "{{ list | join(', ') }} {{ words | join }} {{ rows | join('-', attribute='k') }}", "3, 1, 2 bAca 2-1-2"},
    {"map, select",
     "{{ rows | map(attribute='k') | list }} {{ rows | map(attribute='s', default='?') | join }} {{ words | "
     "map('upper') | list }} {{ list | select('>', 1) | list }} {{ list | reject('odd') | list }} {{ rows | "
     "selectattr('k', 'equalto', 2) | map(attribute='k') | list }} {{ rows | rejectattr('s') | list }} {{ rows | "
     "selectattr('s', 'defined') | list | length }} {{ none | selectattr('x') | list }}",
     "[2, 1, 2] xy? ['B', 'A', 'C', 'A'] [3, 2] [2] [2, 2] [{'k': 2}] 2 []"},
    {"dictsort, items",
     "{{ dict | dictsort }} {% for k, v in dict | items %}{{ k }}{% endfor %} {{ {'b': 1, 'a': 2} | "
     "dictsort(by='value') }} {{ missing | items | list }}",
     "[('a', [True, None, 2.0]), ('b', 1)] ba [('b', 1), ('a', 2)] []"},
    {"indent",
     "{{ 'a\\nb\\n\\nc' | indent(2) }}|{{ 'a\\nb' | indent(1, first=true) }}|{{ 'a\\n\\nb' | indent('>', blank=true) "
     "}}",
     "a\n  b\n\n  c| a\n b|a\n>\n>b"},
    {"int", "{{ '12' | int }} {{ ' -3 ' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ 2.9 | int }} {{ true | int }}",
     "12 -3 0 5 2 1"},
    {"safe",
     "{{ '<b>' | safe }} {{ '<i>' + '<b>' | safe }} {{ ('<b>' | safe) + '<i>' }} {{ '<i>' ~ '<b>' | safe }} {{ ('<b>' "
     "| safe | trim) + '&' }}",
     "<b> &lt;i&gt;<b> <b>&lt;i&gt; <i><b> <b>&amp;"},
    {"tests",
     "{{ missing is defined }} {{ missing is undefined }} {{ none is none }} {{ name is string }} {{ n is number }} {{ "
     "n is integer }} {{ x is float }} {{ true is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} "
     "{{ dict is mapping }} {{ list is mapping }} {{ list is iterable }} {{ n is iterable }} {{ list is sequence }} {{ "
     "dict is sequence }} {{ name is sequence }} {{ n is odd }} {{ n is even }} {{ 9 is divisibleby 3 }} {{ 1 is eq 1 "
     "}} {{ 1 is in list }} {{ n is not string }} {{ range is callable }} {{ n is number and n is gt 3 }}",
     "False True True True True True True True True False True True False True False True True True True False True "
     "True True True True True"},
    {"split",
     "{{ text.split(',') }} {{ ' a  b '.split() }} {{ 'a-b-c'.split('-', 1) }} {{ 'a-b-c'.rsplit('-', 1) }} {{ 'a b "
     "c'.split(maxsplit=1) }} {{ 'a\\nb\\r\\nc'.splitlines() }}",
     "[' a', 'b', '', 'c \\n'] ['a', 'b'] ['a', 'b-c'] ['a-b', 'c'] ['a', 'b c'] ['a', 'b', 'c']"},
    {"strip",
     "[{{ text.strip() }}][{{ text.lstrip() }}][{{ text.rstrip() }}][{{ 'xyax'.strip('xy') }}][{{ "
     "'\\u3000é\\u00a0'.strip() }}]",
     "[a,b,,c][a,b,,c \n][ a,b,,c][a][é]"},
    {"text methods",
     "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith(('x', 'c')) }} {{ 'aXa'.replace('a', 'bb') }} {{ "
     "'abab'.replace('ab', '-', 1) }} {{ 'abc'.upper() }} {{ 'ABC'.lower() }} {{ 'a bc'.title() }} {{ "
     "'aB'.capitalize() }} {{ 'é日x'.find('x') }} {{ 'aXbX'.count('X') }} {{ ', '.join(['a', 'b']) }} {{ "
     "'a{}b{}'.format(1, 'x') }} {{ 'abc'.removeprefix('a') }} {{ 'abc'.removesuffix('c') }} {{ '12'.isdigit() }} {{ "
     "'ab'.replace('', '-') }}",
     "True True bbXbb -ab ABC abc A Bc Ab 2 2 a, b a1bx bc ab True -a-b-"},
    {"dict methods",
     "{{ dict.get('a') }} {{ dict.get('z') }} {{ dict.get('z', 5) }} {{ dict.keys() | list }} {{ dict.values() | list "
     "}} {{ dict.get('a', 1)[0] }}",
     "[True, None, 2.0] None 5 ['b', 'a'] [1, [True, None, 2.0]] True"},
    {"functions",
     "{{ range(3) | list }} {{ range(1, 8, 3) | list }} {{ range(3, 0, -1) | list }} {{ dict(a=1) if false else 'x' }} "
     "{{ strftime_now('%d %b %Y') }}",
     "[0, 1, 2] [1, 4, 7] [3, 2, 1] x 26 Jul 2024"},
};

/* What is an error, and words of its message. */
static const sample ERRORS[] = {
    {"feature", "a\n{% include 'x' %}", "t: line 2: {% include %} is not supported"},
    {"call block", "{% call f() %}{% endcall %}", "line 1: {% call %} is not supported"},
    {"filter", "\n{{ x | wordwrap }}", "line 2: the filter 'wordwrap' is not supported"},
    {"test", "{{ x is upper }}", "the test 'upper' is not supported"},
    {"method", "{{ name.zfill(3) }}", "the method str.zfill is not supported"},
    {"function", "{{ joiner() }}", "'joiner' is not supported"},
    {"loop", "{% for a in list %}{{ loop.cycle(1) }}{% endfor %}", "loop.cycle is not supported"},
    {"recursive", "{% for a in list recursive %}{% endfor %}", "recursive loops are not supported"},
    {"case", "{{ 'ﬁ' | upper }}", "the other case of U+FB01 is not supported"},
    {"power", "{{ 2 ** 3 }}", "the operator ** is not supported"},
    {"format", "{{ '%s' % 1 }}", "formatting with % is not supported"},
    {"argument", "{{ x | tojson(default=1) }}", "the argument 'default' of 'tojson' is not supported"},
    {"raise_exception", "\n\n{{ raise_exception('no ' + name) }}",
     "line 3: the template refuses the conversation: no Ada"},
    {"undefined", "{{ missing.x }}", "'missing' is undefined"},
    {"undefined item", "{{ dict.zz.x }}", "'zz' is undefined"},
    {"undefined sum", "{{ missing + 'x' }}", "'missing' is undefined"},
    {"types", "{{ 'a' + 1 }}", "+ goes not with str and int"},
    {"none", "{% for x in none %}{% endfor %}", "a NoneType has no items"},
    {"zero", "{{ 1 // 0 }}", "a division by zero"},
    {"overflow", "{{ 999999999999999999 * 100 }}", "beyond 64 bits"},
    {"list is constant", "{{ list.append(1) }}", "'append' is undefined"},
    {"namespace", "{% set name.x = 1 %}", "'name' is no namespace"},
    {"unpack", "{% set a, b = [1] %}", "1 values for 2 names"},
    {"macro", "{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "the macro f takes at most 1 arguments"},
    {"function as text", "{{ range }}", "a function as text is not supported"},
    {"generator", "{{ list | select }}", "a generator as text is not supported"},
    {"unfinished", "a\n{% for x in list %}", "line 2: the template ends where {% endfor %} is expected"},
    {"unfinished tag", "{{ x", "a tag that does not end"},
    {"unfinished string", "{{ 'x }}", "a string that does not end"},
    {"unfinished comment", "{# x", "a comment that does not end"},
    {"end", "{% endif %}", "{% endif %} ends nothing that has begun"},
    {"brackets", "{{ (1] }}", "a bracket that closes none"},
    {"expression", "{{ 1 + }}", "begins no expression"},
    {"two", "{{ 1 2 }}", "'2' stands where '}}' is expected"},
};

/* Templates that would take for ever, or all memory. */
static const sample HOSTILE[] = {
    {"loops", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", ""},
    {"text", "{% set n = namespace(t='x' * 1000) %}{% for a in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}",
     "MiB"},
    {"repeat", "{{ 'abcdefgh' * 99999999999 }}", "MiB"},
    {"output", "{% for a in range(99999) %}{{ 'x' * 99999 }}{% endfor %}", "MiB"},
    {"lists", "{% set n = namespace(t=[1]) %}{% for a in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}", ""},
    {"recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "too deep"},
    {"two recursions", "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
     "takes too long"},
    {"shared lists",
     "{% set n = namespace(a=[], b=[]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}"
     "{% set n.b = [n.b, n.b] %}{% endfor %}{{ n.a == n.b }}",
     "takes too long"},
    {"shared lists as JSON",
     "{% set n = namespace(a=[]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}"
     "{{ n.a | tojson }}",
     "MiB"},
    {"indent", "{{ 'x' | indent(99999999999) }}", ""},
    {"search", "{% set t = 'a' * 9999999 %}{% for i in range(99999) %}{% if t + 'b' in t %}{% endif %}{% endfor %}",
     ""},
    {"range", "{{ range(999999999) | list }}", "a range of more than 100000 numbers"},
};

static json_t *values(void) {
    json_t *all = NULL;

    assert_ok(json_load_bytes(&all, VALUES, sizeof(VALUES) - 1, "values"));
    return all;
}

/* Render with the values; the status is that of parsing where that fails. */
static clora_status render_text(template_result *out, const char *source) {
    json_t *all = values();
    template *t = NULL;
    clora_status status = template_parse(&t, "t", source, strlen(source));

    *out = (template_result){0};
    if (status == CLORA_OK)
        status = template_render(out, t, all, &OPTIONS);
    template_free(t);
    json_decref(all);
    return status;
}

static void test_templates_give_the_text_that_transformers_gives(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(SAMPLES) / sizeof(*SAMPLES); i++) {
        const sample *s = &SAMPLES[i];
        template_result result;
        if (render_text(&result, s->source) != CLORA_OK)
            fail_msg("%s: %s", s->subject, clora_last_error());
        if (strcmp(result.text, s->text) != 0)
            fail_msg("%s: '%s', not '%s'", s->subject, result.text, s->text);
        template_result_finish(&result);
    }
}

static void assert_errors(const sample *samples, size_t count) {
    for (size_t i = 0; i < count; i++) {
        template_result result;
        if (render_text(&result, samples[i].source) == CLORA_OK)
            fail_msg("%s: no error", samples[i].subject);
        if (!strstr(clora_last_error(), samples[i].text) || strchr(clora_last_error(), '\n'))
            fail_msg("%s: '%s', not '%s'", samples[i].subject, clora_last_error(), samples[i].text);
        template_result_finish(&result);
    }
}

static void test_what_is_wrong_or_not_supported_is_named_with_its_line(void **state) {
    (void)state;
    assert_errors(ERRORS, sizeof(ERRORS) / sizeof(*ERRORS));
}

static void test_hostile_templates_end(void **state) {
    (void)state;
    assert_errors(HOSTILE, sizeof(HOSTILE) / sizeof(*HOSTILE));
}

/* A template of many of the same thing in each other. */
static void assert_too_deep(const char *piece, size_t count) {
    char *source = calloc(count, strlen(piece) + 1);
    template_result result;

    assert_non_null(source);
    for (size_t i = 0; i < count; i++)
        strcat(source + i * strlen(piece), piece);
    assert_refused(render_text(&result, source), CLORA_ERROR_FORMAT, "line 1");
    template_result_finish(&result);
    free(source);
}

static void test_deep_templates_are_refused(void **state) {
    (void)state;
    assert_too_deep("{% if a %}", 1000);
    assert_too_deep("{{ (", 1000);
    assert_too_deep("{{ not not not not not not not not ", 1000);
    assert_too_deep("{{ - - - - - - - - - - - - - - - - ", 1000);
    assert_too_deep("{{ [[[[[[[[[[[[[[[[[[[[", 1000);
}

static void test_what_is_to_be_learnt_is_marked(void **state) {
    template_result result;
    (void)state;
    assert_ok(render_text(&result, "{% for m in messages %}{{ m.role }}:{% if loop.index0 == 1 %}{% generation %}"
                                   "{{ m.content }}.{% endgeneration %}{% endif %}{% endfor %}"));
    assert_string_equal(result.text, "user:assistant:Yo.user:");
    assert_int_equal(result.learnt_count, 1);
    assert_int_equal(result.learnt[0].from, strlen("user:assistant:"));
    assert_int_equal(result.learnt[0].to, strlen("user:assistant:Yo."));
    template_result_finish(&result);
    assert_refused(render_text(&result, "{% set x %}{% generation %}{% endgeneration %}{% endset %}"),
                   CLORA_ERROR_UNSUPPORTED, "in a macro or a block that is kept");
    template_result_finish(&result);
}

static void test_texts_may_hold_nul_and_must_be_utf8(void **state) {
    const char source[] = "a\0b{{ 'x\0y' | length }}";
    template_result result;
    template *t = NULL;
    json_t *none = json_object();
    (void)state;

    assert_ok(template_parse(&t, "t", source, sizeof(source) - 1));
    assert_ok(template_render(&result, t, none, &OPTIONS));
    assert_int_equal(result.size, 4);
    assert_memory_equal(result.text, "a\0b3", 4);
    template_result_finish(&result);
    template_free(t);
    json_decref(none);
    assert_refused(template_parse(&t, "t", "{{ \0 }}", 7), CLORA_ERROR_FORMAT, "a character that begins nothing");
    assert_refused(template_parse(&t, "t", "a\xff", 2), CLORA_ERROR_FORMAT, "t: not UTF-8: byte 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates_give_the_text_that_transformers_gives),
        cmocka_unit_test(test_what_is_wrong_or_not_supported_is_named_with_its_line),
        cmocka_unit_test(test_hostile_templates_end),
        cmocka_unit_test(test_deep_templates_are_refused),
        cmocka_unit_test(test_what_is_to_be_learnt_is_marked),
        cmocka_unit_test(test_texts_may_hold_nul_and_must_be_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
