# mpc_add_layer(TARGET FILE.mp [OPTIONS ...])
#
# Compiles FILE.mp to FILE.so and FILE.h in the current build folder, before TARGET is built. TARGET finds the header and
# is linked with the runtime; it loads the library when it runs. OPTIONS go to the command: -D out=16, --arch x86-64-v3.
function(mpc_add_layer target file)
    cmake_parse_arguments(PARSE_ARGV 2 layer "" "" "OPTIONS")
    if(layer_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "mpc_add_layer(TARGET FILE.mp [OPTIONS ...]): what is ${layer_UNPARSED_ARGUMENTS}?")
    endif()
    get_filename_component(source ${file} ABSOLUTE)
    get_filename_component(name ${file} NAME_WE)
    set(library ${CMAKE_CURRENT_BINARY_DIR}/${name}.so)
    set(header ${CMAKE_CURRENT_BINARY_DIR}/${name}.h)
    add_custom_command(OUTPUT ${library} ${header}
                       COMMAND mpc::command ${source} -o ${library} --header=${header} ${layer_OPTIONS}
                       DEPENDS ${source} mpc::command
                       COMMENT "mpc ${name}.mp"
                       VERBATIM)
    add_custom_target(${target}_${name}_layer DEPENDS ${library} ${header})
    add_dependencies(${target} ${target}_${name}_layer)
    # as properties: target_link_libraries would tie the caller to one of its two signatures
    set_property(TARGET ${target} APPEND PROPERTY INCLUDE_DIRECTORIES ${CMAKE_CURRENT_BINARY_DIR})
    set_property(TARGET ${target} APPEND PROPERTY LINK_LIBRARIES mpc::mp)
endfunction()
