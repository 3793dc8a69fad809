# Writes C with the texts of FILES, one after the other, as what the function NAME returns.
set(bytes "")
foreach(file ${FILES})
    file(READ ${file} hex HEX)
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
    string(APPEND bytes "${hex}\n")
endforeach()
file(WRITE ${OUT} "#include \"codegen/cuda/prelude.h\"\n\nconst char *${NAME}(void)\n{\n    static const char text[] = {\n${bytes}0};\n    return text;\n}\n")
